package example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Asks for an auth link and waits for it.
 *
 *   KAFKA_BOOTSTRAP_SERVERS=… mvn -q compile exec:java -Dexec.args=patient-0042
 */
public final class RequestLink {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String REPLIES =
        System.getenv().getOrDefault("REPLY_TOPIC", "terra.connect.replies");

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings =
            Map.of("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
             var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            // Every partition from its end. A real service keeps one consumer for all its requests.
            var partitions = consumer.partitionsFor(REPLIES).stream()
                .map(info -> new TopicPartition(info.topic(), info.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToEnd(partitions);
            partitions.forEach(consumer::position); // fixes it now, before the request goes out

            JsonNode reply = request(producer, consumer, arguments[0], Duration.ofSeconds(30));
            if (!reply.path("status").asText().equals("success")) {
                System.err.println(reply.path("error"));
                System.exit(1);
            }
            System.out.println(reply.path("link").asText());
        }
    }

    private static JsonNode request(KafkaProducer<String, String> producer,
            KafkaConsumer<String, String> consumer, String referenceId, Duration timeout) throws Exception {
        String correlation = UUID.randomUUID().toString();
        String request = JSON.writeValueAsString(
            Map.of("reference_id", referenceId, "timeout_seconds", timeout.toSeconds()));
        var record = new ProducerRecord<>("terra.connect.requests", referenceId, request);
        record.headers().add("correlation-id", correlation.getBytes(StandardCharsets.UTF_8));
        record.headers().add("reply-to", REPLIES.getBytes(StandardCharsets.UTF_8));
        producer.send(record).get();

        Instant deadline = Instant.now().plus(timeout);
        while (Instant.now().isBefore(deadline)) {
            for (ConsumerRecord<String, String> reply : consumer.poll(Duration.ofMillis(100))) {
                var header = reply.headers().lastHeader("correlation-id");
                if (header != null && correlation.equals(new String(header.value(), StandardCharsets.UTF_8))) {
                    return JSON.readTree(reply.value());
                }
            }
        }
        throw new IllegalStateException("no reply; is a worker running?");
    }
}
