/* clock */
extern int clock_placeholder;
