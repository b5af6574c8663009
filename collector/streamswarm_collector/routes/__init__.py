"""The HTTP routes: InfluxDB's, and those every service has."""
