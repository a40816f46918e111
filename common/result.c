/* result */
extern int result_placeholder;
