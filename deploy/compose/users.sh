#!/bin/bash
# Gives each role its password; may run again.
set -euo pipefail
umask 077
secret() { cat "/run/secrets/$1"; }
# Java reads its arguments from a file: those of a command line can be read by everybody on the machine.
quietly() {
    printf '%s\n' "$@" > /tmp/arguments
    java -cp '/opt/kafka/libs/*' @/tmp/arguments > /dev/null
    rm /tmp/arguments
}
admin=$(secret admin.password)
client=/tmp/client.properties
cat > "$client" <<END
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$admin";
ssl.truststore.type=PEM
ssl.truststore.location=/run/secrets/ca.pem
END
give() {
    password=$(secret "$2")
    quietly kafka.admin.ConfigCommand --bootstrap-server kafka-1:9093 --command-config "$client" --alter \
        --entity-type users --entity-name "$1" --add-config "SCRAM-SHA-512=[password=$password]"
}
for role in worker producer operator; do
    give "selvedge-$role" "$role.password"
done
for topic in profiles identities profile-changes triggers products dead-letters access-reports; do
    give "selvedge-consumer-$topic" consumer.password
done
