/* kafka_consumer */
extern int kafka_consumer_placeholder;
