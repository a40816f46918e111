/* log */
extern int log_placeholder;
