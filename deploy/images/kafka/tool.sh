#!/bin/sh
# The tools that the broker's own jars hold, under the names that they have in apache/kafka.
case "$(basename "$0")" in
  kafka-storage.sh) class=kafka.tools.StorageTool ;;
  kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
  *) echo "this image has kafka-storage.sh and kafka-configs.sh" >&2; exit 2 ;;
esac
exec java -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=/etc/kafka/docker/tools-log4j2.yaml \
  -cp "/opt/kafka/libs/*" "$class" "$@"
