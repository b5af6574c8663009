#!/bin/sh
# Run once by the image when it sets InfluxDB 2 up: a bucket of hourly means that is kept for years, the task that fills
# it, and mappings by which InfluxQL finds both.
set -eu

hourly="${DOCKER_INFLUXDB_INIT_BUCKET}_hourly"
influx bucket create --name "$hourly" --org "$DOCKER_INFLUXDB_INIT_ORG" --retention 1825d

task=$(mktemp)
cat > "$task" <<FLUX
import "types"

option task = {name: "hourly means", every: 1h, offset: 5m}

from(bucket: "$DOCKER_INFLUXDB_INIT_BUCKET")
    |> range(start: -task.every)
    |> filter(fn: (r) => types.isType(v: r._value, type: "float") or types.isType(v: r._value, type: "int"))
    |> toFloat()
    |> aggregateWindow(every: 1h, fn: mean, createEmpty: false)
    |> to(bucket: "$hourly", org: "$DOCKER_INFLUXDB_INIT_ORG")
FLUX
influx task create --org "$DOCKER_INFLUXDB_INIT_ORG" --file "$task"
rm -f "$task"

bucket_id() {
  influx bucket list --org "$DOCKER_INFLUXDB_INIT_ORG" --name "$1" --hide-headers | cut -f 1
}
influx v1 dbrp create --org "$DOCKER_INFLUXDB_INIT_ORG" --db "$DOCKER_INFLUXDB_INIT_BUCKET" --rp autogen --default \
  --bucket-id "$(bucket_id "$DOCKER_INFLUXDB_INIT_BUCKET")"
influx v1 dbrp create --org "$DOCKER_INFLUXDB_INIT_ORG" --db "$hourly" --rp autogen --default \
  --bucket-id "$(bucket_id "$hourly")"
