// OTLPExporter
