/* kafka_producer */
extern int kafka_producer_placeholder;
