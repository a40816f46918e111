package example;

import java.time.Duration;
import java.util.UUID;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.springframework.boot.CommandLineRunner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.kafka.config.ConcurrentKafkaListenerContainerFactory;
import org.springframework.kafka.core.ProducerFactory;
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer;
import org.springframework.kafka.requestreply.ReplyingKafkaTemplate;

/**
 * The same through Spring's ReplyingKafkaTemplate: it sets kafka_correlationId and kafka_replyTopic, which the worker honours.
 *
 *   KAFKA_BOOTSTRAP_SERVERS=… mvn -q spring-boot:run -Dspring-boot.run.arguments=patient-0042
 */
@SpringBootApplication
public class Application {
    public static void main(String[] arguments) {
        System.exit(SpringApplication.exit(SpringApplication.run(Application.class, arguments)));
    }

    @Bean
    ConcurrentMessageListenerContainer<String, String> replies(
            ConcurrentKafkaListenerContainerFactory<String, String> containers) {
        var container = containers.createContainer("terra.connect.replies");
        // A group of its own per instance, which sees every reply and picks out its own.
        container.getContainerProperties().setGroupId("example-" + UUID.randomUUID());
        container.setAutoStartup(false);
        return container;
    }

    @Bean
    ReplyingKafkaTemplate<String, String, String> requests(ProducerFactory<String, String> producers,
            ConcurrentMessageListenerContainer<String, String> replies) {
        var template = new ReplyingKafkaTemplate<>(producers, replies);
        template.setSharedReplyTopic(true);
        template.setDefaultReplyTimeout(Duration.ofSeconds(30));
        return template;
    }

    @Bean
    CommandLineRunner run(ReplyingKafkaTemplate<String, String, String> requests) {
        return arguments -> {
            requests.waitForAssignment(Duration.ofSeconds(20));
            var request = new ProducerRecord<>("terra.connect.requests", arguments[0],
                "{\"reference_id\": \"" + arguments[0] + "\"}");
            System.out.println(requests.sendAndReceive(request).get().value());
        };
    }
}
