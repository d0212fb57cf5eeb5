#!/bin/bash
# One broker and controller: writes its settings from mounted secrets, formats an empty disk, runs.
set -euo pipefail
umask 077
secret() { cat "/run/secrets/$1"; }
# Java reads its arguments from a file: those of a command line can be read by everybody on the machine.
quietly() {
    printf '%s\n' "$@" > /tmp/arguments
    java -cp '/opt/kafka/libs/*' @/tmp/arguments > /dev/null
    rm /tmp/arguments
}
id=$(secret cluster.id)
interbroker=$(secret interbroker.password)
admin=$(secret admin.password)
outer=$((NODE_ID * 10000 + 9093))
login=org.apache.kafka.common.security.scram.ScramLoginModule
settings=/tmp/server.properties
cat > "$settings" <<END
process.roles=broker,controller
node.id=$NODE_ID
controller.quorum.voters=1@kafka-1:9094,2@kafka-2:9094,3@kafka-3:9094
controller.listener.names=CONTROLLER
inter.broker.listener.name=INNER
listeners=INNER://:9093,OUTER://:$outer,CONTROLLER://:9094
advertised.listeners=INNER://kafka-$NODE_ID:9093,OUTER://localhost:$outer
listener.security.protocol.map=INNER:SASL_SSL,OUTER:SASL_SSL,CONTROLLER:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.inner.scram-sha-512.sasl.jaas.config=$login required username="interbroker" password="$interbroker";
listener.name.outer.scram-sha-512.sasl.jaas.config=$login required;
ssl.keystore.type=PEM
ssl.keystore.location=/run/secrets/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location=/run/secrets/ca.pem
listener.name.controller.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=(kafka-[0-9]+)\$/\$1/
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin;User:interbroker;User:kafka-1;User:kafka-2;User:kafka-3
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
log.dirs=/var/lib/kafka/data/logs
END
quietly kafka.tools.StorageTool format --ignore-formatted --cluster-id "$id" --config "$settings" \
    --add-scram "SCRAM-SHA-512=[name=interbroker,password=$interbroker]" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$admin]"
export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xms512m -Xmx512m}"
exec /opt/kafka/bin/kafka-server-start.sh "$settings"
