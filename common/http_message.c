/* http_message */
extern int http_message_placeholder;
