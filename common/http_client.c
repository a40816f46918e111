/* http_client */
extern int http_client_placeholder;
