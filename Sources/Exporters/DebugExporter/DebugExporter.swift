// DebugExporter
