/* metrics */
extern int metrics_placeholder;
