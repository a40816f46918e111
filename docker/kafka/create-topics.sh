#!/usr/bin/env bash
# Creates the topics of terra-connect that are missing; one that is there is left as it is.
#
#   BOOTSTRAP_SERVERS=localhost:9092 KAFKA_BIN=/opt/kafka/bin create-topics.sh
#
# Also: REPLICATION_FACTOR (default 1), PARTITIONS (default 12; workers share the partitions of the request topic, so
# it is also the most workers that have something to do), CLIENT_CONFIG (a properties file, for TLS and SASL).
set -euo pipefail

hour=3600000
day=$((24 * hour))

create() {
    local topic=$1 config=()
    shift
    for setting in "$@"; do config+=(--config "$setting"); done
    "${KAFKA_BIN:?is the folder of kafka-topics.sh}/kafka-topics.sh" \
        --bootstrap-server "${BOOTSTRAP_SERVERS:?names the brokers}" \
        ${CLIENT_CONFIG:+--command-config "$CLIENT_CONFIG"} \
        --create --if-not-exists --topic "$topic" --partitions "${PARTITIONS:-12}" \
        --replication-factor "${REPLICATION_FACTOR:-1}" "${config[@]}"
}

# A request's age is counted from when the broker took it, whatever the sender's clock says.
create terra.connect.requests retention.ms=$day message.timestamp.type=LogAppendTime
# Links are bearer secrets: they are not kept longer than they are worth something.
create terra.connect.replies retention.ms=$hour
create terra.connect.outcomes retention.ms=$((90 * day))
create terra.events.raw retention.ms=$day
create terra.auth.events retention.ms=$((90 * day))
create terra.connections cleanup.policy=compact delete.retention.ms=$((7 * day))
create terra.dead-letters retention.ms=$((14 * day))
