/* json */
extern int json_placeholder;
