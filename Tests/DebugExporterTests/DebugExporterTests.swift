// DebugExporterTests
