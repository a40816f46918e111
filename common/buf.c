/* buf */
extern int buf_placeholder;
