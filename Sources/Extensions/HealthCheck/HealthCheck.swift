// HealthCheck
