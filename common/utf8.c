/* utf8 */
extern int utf8_placeholder;
