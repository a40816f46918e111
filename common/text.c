/* text */
extern int text_placeholder;
