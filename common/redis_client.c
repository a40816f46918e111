/* redis_client */
extern int redis_client_placeholder;
