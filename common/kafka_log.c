/* kafka_log */
extern int kafka_log_placeholder;
