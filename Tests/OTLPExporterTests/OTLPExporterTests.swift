// OTLPExporterTests
