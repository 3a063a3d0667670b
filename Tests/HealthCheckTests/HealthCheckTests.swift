// HealthCheckTests
