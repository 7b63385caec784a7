#!/bin/sh
# Serves as the executable of @temporalio/testing's createTimeSkipping: the first argument is the port.
# Copied into the cache folder beside the jars that pom.xml names.
exec java -XX:TieredStopAtLevel=1 -cp "$(dirname "$0")/lib/*" io.temporal.testserver.TestServer "$@"
