// NopExporter
