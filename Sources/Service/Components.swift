internal import BatchProcessor
internal import DebugExporter
internal import FileExporter
internal import FileStorage
internal import HealthCheck
internal import LoadBalancingExporter
internal import LokiExporter
internal import MemoryLimiter
internal import NopExporter
internal import OTLPExporter
internal import OTLPReceiver
package import Pipeline
internal import PrometheusExporter
internal import PrometheusReceiver
internal import ZPages

/// Every component that this version builds. To add one: its folder, its target, its tests, and a line here.
package let builtInComponents: [ComponentType] = [
    .otlpReceiver,
    .prometheusReceiver,

    .memoryLimiter,
    .batch,

    .otlpGRPCExporter,
    .otlpHTTPExporter,
    .loadBalancingExporter,
    .lokiExporter,
    .debugExporter,
    .fileExporter,
    .prometheusExporter,
    .nopExporter,

    .healthCheck,
    .fileStorage,
    .zpages,
]
