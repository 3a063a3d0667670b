internal import AttributesProcessor
internal import AuditExporter
internal import BasicAuth
internal import BatchProcessor
internal import BearerTokenAuth
internal import CountConnector
internal import CumulativeToDelta
internal import DebugExporter
internal import DeltaToCumulative
internal import DeltaToRate
internal import ExceptionsConnector
internal import FailoverConnector
internal import FileExporter
internal import FileStorage
internal import FilterProcessor
internal import ForwardConnector
internal import GroupByAttributes
internal import GroupByTrace
internal import HeadersSetter
internal import HealthCheck
internal import Interval
internal import JaegerReceiver
internal import KubernetesAttributes
internal import LoadBalancingExporter
internal import LogDeduplication
internal import LokiExporter
internal import MemoryLimiter
internal import MetricStartTime
internal import MetricsGeneration
internal import MetricsTransform
internal import NopExporter
internal import NopReceiver
internal import OTLPExporter
internal import OTLPReceiver
package import Pipeline
internal import ProbabilisticSampler
internal import PrometheusExporter
internal import PrometheusReceiver
internal import RedactionProcessor
internal import ResourceDetection
internal import RoundRobinConnector
internal import RoutingConnector
internal import ServiceGraphConnector
internal import SignalToMetricsConnector
internal import SpanMetricsConnector
internal import SpanProcessor
internal import TailSampling
internal import TransformProcessor
internal import ZPages
internal import ZipkinReceiver

/// Every component that this version builds. To add one: its folder, its target, its tests, and a line here.
package let builtInComponents: [ComponentType] = [
    .otlpReceiver,
    .prometheusReceiver,
    .jaegerReceiver,
    .zipkinReceiver,
    .nopReceiver,

    .memoryLimiter,
    .batch,
    .attributes,
    .resource,
    .probabilisticSampler,
    .span,
    .groupByAttributes,
    .redaction,
    .resourceDetection,
    .kubernetesAttributes,
    .logDeduplication,
    .filter,
    .tailSampling,
    .groupByTrace,
    .transform,
    .metricsTransform,
    .cumulativeToDelta,
    .deltaToCumulative,
    .metricsGeneration,
    .deltaToRate,
    .interval,
    .metricStartTime,

    .otlpGRPCExporter,
    .otlpHTTPExporter,
    .loadBalancingExporter,
    .lokiExporter,
    .debugExporter,
    .fileExporter,
    .prometheusExporter,
    .prometheusRemoteWriteExporter,
    .auditExporter,
    .nopExporter,

    .forward,
    .routing,
    .failover,
    .roundRobin,
    .count,
    .sum,
    .spanMetrics,
    .serviceGraph,
    .exceptions,
    .signalToMetrics,

    .healthCheck,
    .fileStorage,
    .basicAuth,
    .bearerTokenAuth,
    .headersSetter,
    .zpages,
]
