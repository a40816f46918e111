"""Listeners of a real broker that ask for a login, for TLS, or both: properties for local_kafka.Kafka, and the settings
of a worker that comes by them. What each asks for is said by its protocol: Kafka(listeners={"LOGIN": "SASL_SSL"}).
"""

from confluent_kafka.admin import AdminClient, ConfigResource

from .topics import LOG_LEVEL

MODULES = "org.apache.kafka.common.security"


def plain_users(listener, **passwords):
    """Users by name, with their passwords, who may log in by SASL PLAIN."""
    users = "".join(f' user_{name}="{password}"' for name, password in passwords.items())
    return _of(listener, {"sasl.enabled.mechanisms": "PLAIN",
        "plain.sasl.jaas.config": f"{MODULES}.plain.PlainLoginModule required{users};"})


def scram_users(listener):
    """Kafka's scram_users may log in by SCRAM-SHA-512."""
    return _of(listener, {"sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "scram-sha-512.sasl.jaas.config": f"{MODULES}.scram.ScramLoginModule required;"})


def shown_certificate(listener, certificate):
    """A certificate of certificates.py."""
    return _of(listener, {"ssl.keystore.type": "PEM", "ssl.keystore.location": certificate.both})


def wanted_certificate(listener, authority):
    """Clients have to show one of that authority's."""
    return _of(listener, {"ssl.client.auth": "required", "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority.ca_file})


def _of(listener, properties):
    return {f"listener.name.{listener.lower()}.{name}": str(value) for name, value in properties.items()}


def change_certificate(kafka, listener, certificate):
    """While the broker runs; it takes a second or two. For the same names and more, or the broker refuses; a change
    that was made before, of another listener too, is undone."""
    broker = ConfigResource(ConfigResource.Type.BROKER, "1", set_config=shown_certificate(listener, certificate))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": LOG_LEVEL})
    admin.alter_configs([broker])[broker].result(15)


def login(kafka, listener, password, protocol, user="worker", mechanism="PLAIN"):
    """Settings of a worker."""
    return {"KAFKA_BOOTSTRAP_SERVERS": kafka.address(listener), "KAFKA_SECURITY_PROTOCOL": protocol,
        "KAFKA_SASL_MECHANISM": mechanism, "KAFKA_SASL_USERNAME": user, "KAFKA_SASL_PASSWORD": password}
