internal import BatchProcessor
internal import CountConnector
internal import DebugExporter
internal import FailoverConnector
internal import FileExporter
internal import FileStorage
internal import ForwardConnector
internal import GroupByTrace
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
internal import RoundRobinConnector
internal import RoutingConnector
internal import ServiceGraphConnector
internal import SpanMetricsConnector
internal import TailSampling
internal import TransformProcessor

/// Every component that this version builds. To add one: its folder, its target, its tests, and a line here.
package let builtInComponents: [ComponentType] = [
    .otlpReceiver,
    .prometheusReceiver,

    .memoryLimiter,
    .batch,
    .tailSampling,
    .groupByTrace,
    .transform,

    .otlpGRPCExporter,
    .otlpHTTPExporter,
    .loadBalancingExporter,
    .lokiExporter,
    .debugExporter,
    .fileExporter,
    .prometheusExporter,
    .nopExporter,

    .forward,
    .routing,
    .failover,
    .roundRobin,
    .count,
    .sum,
    .spanMetrics,
    .serviceGraph,

    .healthCheck,
    .fileStorage,
]
