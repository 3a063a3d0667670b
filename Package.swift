// swift-tools-version: 6.2
import PackageDescription

// One target a component; siblings never import siblings. The order below is the way of the data.

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
    // Overlapping accesses are found in debug builds, which is what the module tests, both sanitizers and the fuzzers run.
    // In a release build looking for them takes 10 % of a small request's instructions (bench/results/2026-11-30.md).
    .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

let cSettings: [CSetting] = [
    .unsafeFlags(["-std=c11", "-Wall", "-Wextra", "-Werror"])
]

/// Targets below `Sources` without a README of their own.
let withoutReadme: Set<String> = [
    "Compression", "Configuration", "OTLP", "OTLPClient", "RegularExpression", "StatementConfiguration",
    "TraceStore", "MetricBuilding", "RequestServing",
]

func component(_ name: String, in folder: String = "", _ dependencies: [Target.Dependency]) -> Target {
    .target(
        name: name,
        dependencies: dependencies,
        path: "Sources/" + folder + name,
        exclude: name == "OTLP" ? ["JSON/README.md"] : withoutReadme.contains(name) ? [] : ["README.md"],
        swiftSettings: swiftSettings + [.strictMemorySafety()]
    )
}

func cTarget(_ name: String, links library: String? = nil, flags: [String] = []) -> Target {
    .target(
        name: name,
        path: "Sources/C/" + name,
        cSettings: cSettings + (flags.isEmpty ? [] : [.unsafeFlags(flags)]),
        linkerSettings: library.map { [.linkedLibrary($0)] } ?? []
    )
}

/// C++ behind a header of C.
func cxxTarget(_ name: String, links library: String) -> Target {
    .target(
        name: name,
        path: "Sources/C/" + name,
        cxxSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror", "-O2"])],
        linkerSettings: [.linkedLibrary(library)]
    )
}

func tests(of name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: name + "Tests",
        dependencies: [.byName(name: name), "TestSupport"] + dependencies,
        path: "Tests/" + name + "Tests",
        swiftSettings: swiftSettings
    )
}

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS: Target.Dependency = .product(name: "NIOTLS", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let nioEmbedded: Target.Dependency = .product(name: "NIOEmbedded", package: "swift-nio")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["Sluice"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .executableTarget(
            name: "Sluice",
            dependencies: [
                "Service", "AuditLog", "Configuration", "HTTP", "OTLP", "Pipeline", "PostgreSQLAuditStore",
                "SQLiteAuditStore", "Statements",
                logging,
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            path: "Sources/Sluice",
            swiftSettings: swiftSettings + [.strictMemorySafety()],
            linkerSettings: [
                // Fewer pages of the binary are touched at the start: a fifth of the idle resident size.
                .unsafeFlags(
                    [
                        // Says that the C++ library is linked statically, too.
                        "-L", Context.packageDirectory + "/Sources/C/static",
                        "-use-ld=lld", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs", "-Xlinker",
                        "--icf=safe",
                        // Exported symbols are kept though nobody uses them: most of BoringSSL.
                        "-Xlinker", "--no-export-dynamic",
                    ], .when(configuration: .release))
            ]
        ),
        component(
            "Service",
            [
                "Configuration", "Hashing", "HTTP", "Pipeline", "OTLP", "Statements",
                "OTLPReceiver", "PrometheusReceiver", "JaegerReceiver", "ZipkinReceiver", "MemoryLimiter",
                "BatchProcessor",
                "AttributesProcessor", "CumulativeToDelta", "DeltaToCumulative", "DeltaToRate",
                "FilterProcessor", "MetricsGeneration", "MetricsTransform", "TailSampling",
                "TransformProcessor", "ProbabilisticSampler", "SpanProcessor", "GroupByAttributes",
                "RedactionProcessor", "ResourceDetection", "KubernetesAttributes", "LogDeduplication",
                "Interval", "MetricStartTime", "GroupByTrace", "ForwardConnector", "RoundRobinConnector",
                "FailoverConnector", "RoutingConnector", "CountConnector", "SpanMetricsConnector",
                "ServiceGraphConnector", "ExceptionsConnector", "SignalToMetricsConnector",
                "OTLPExporter", "PrometheusExporter", "LokiExporter", "DebugExporter", "FileExporter",
                "AuditExporter", "LoadBalancingExporter", "NopExporter", "NopReceiver", "HealthCheck",
                "FileStorage",
                "OTLPClient",
                "ZPages", "BasicAuth", "BearerTokenAuth", "HeadersSetter",
                nioCore, nioPosix, logging,
            ]),
        component(
            "OTLPReceiver", in: "Receivers/",
            ["Configuration", "Pipeline", "OTLP", "HTTP", "RequestServing", nioCore]),
        component(
            "PrometheusReceiver", in: "Receivers/",
            [
                "Configuration", "Hashing", "Pipeline", "OTLP", "HTTP", "Compression", "Kubernetes",
                "RegularExpression", nioCore, nioPosix, logging,
            ]),
        component(
            "JaegerReceiver", in: "Receivers/",
            ["Configuration", "Pipeline", "OTLP", "HTTP", "RequestServing", "MetricBuilding", nioCore]),
        component(
            "ZipkinReceiver", in: "Receivers/",
            ["Configuration", "Pipeline", "OTLP", "HTTP", "RequestServing", "MetricBuilding", nioCore]),
        component(
            "MemoryLimiter", in: "Processors/",
            ["Configuration", "Pipeline", nioCore, logging]),
        component(
            "BatchProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", nioCore, logging]),
        component(
            "AttributesProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "Hashing", "ItemMatching", "RegularExpression"]),
        component(
            "ProbabilisticSampler", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP"]),
        component(
            "SpanProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "ItemMatching", "RegularExpression"]),
        component(
            "RedactionProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "Hashing", "ItemMatching", "RegularExpression"]),
        component(
            "LogDeduplication", in: "Processors/",
            [
                "Configuration", "Pipeline", "OTLP", "Statements", "StatementConfiguration", nioCore, logging,
            ]),
        component(
            "KubernetesAttributes", in: "Processors/",
            [
                "Configuration", "Pipeline", "OTLP", "HTTP", "ItemMatching", "Kubernetes",
                "RegularExpression",
                nioCore, logging,
            ]),
        component(
            "ResourceDetection", in: "Processors/",
            [
                "Configuration", "Pipeline", "OTLP", "HTTP", "RegularExpression", nioCore, nioPosix, logging,
            ]),
        component("GroupByAttributes", in: "Processors/", ["Configuration", "Pipeline", "OTLP"]),
        component(
            "FilterProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "ItemMatching", "Statements", "StatementConfiguration"]),
        component(
            "TailSampling", in: "Processors/",
            [
                "Configuration", "Pipeline", "OTLP", "TraceStore", "RegularExpression", "Statements",
                "StatementConfiguration", nioCore, logging,
            ]),
        component(
            "GroupByTrace", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "TraceStore", nioCore, logging]),
        component("ForwardConnector", in: "Connectors/", ["Configuration", "Pipeline", "OTLP"]),
        component("RoundRobinConnector", in: "Connectors/", ["Configuration", "Pipeline", "OTLP"]),
        component(
            "FailoverConnector", in: "Connectors/",
            ["Configuration", "Pipeline", "OTLP", nioCore, logging]),
        component(
            "RoutingConnector", in: "Connectors/",
            [
                "Configuration", "Pipeline", "OTLP", "Statements", "StatementConfiguration", nioCore, logging,
            ]),
        component(
            "CountConnector", in: "Connectors/",
            [
                "Configuration", "Pipeline", "OTLP", "Statements", "StatementConfiguration",
                "MetricBuilding", nioCore,
            ]),
        component(
            "SpanMetricsConnector", in: "Connectors/",
            ["Configuration", "Pipeline", "OTLP", "MetricBuilding", nioCore]),
        component(
            "ServiceGraphConnector", in: "Connectors/",
            ["Configuration", "Pipeline", "OTLP", "MetricBuilding", nioCore]),
        component(
            "ExceptionsConnector", in: "Connectors/",
            ["Configuration", "Pipeline", "OTLP", "MetricBuilding", nioCore]),
        component(
            "SignalToMetricsConnector", in: "Connectors/",
            [
                "Configuration", "Pipeline", "OTLP", "Statements", "StatementConfiguration",
                "MetricBuilding", nioCore, logging,
            ]),
        component(
            "TransformProcessor", in: "Processors/",
            ["Configuration", "Pipeline", "OTLP", "Statements", "StatementConfiguration"]),
        component(
            "CumulativeToDelta", in: "Processors/",
            ["Configuration", "MetricStreams", "Pipeline", "OTLP", "RegularExpression", logging]),
        component(
            "DeltaToCumulative", in: "Processors/",
            ["Configuration", "MetricStreams", "Pipeline", "OTLP", logging]),
        component(
            "DeltaToRate", in: "Processors/", ["Configuration", "MetricStreams", "Pipeline", "OTLP"]),
        component(
            "Interval", in: "Processors/",
            ["Configuration", "MetricStreams", "Pipeline", "OTLP", nioCore, logging]),
        component(
            "MetricStartTime", in: "Processors/",
            ["Configuration", "MetricStreams", "Pipeline", "OTLP", "RegularExpression"]),
        component(
            "MetricsGeneration", in: "Processors/", ["Configuration", "MetricStreams", "Pipeline", "OTLP"]),
        component(
            "MetricsTransform", in: "Processors/",
            ["Configuration", "MetricStreams", "Pipeline", "OTLP", "RegularExpression", logging]),
        component(
            "OTLPExporter", in: "Exporters/",
            ["Configuration", "HTTP", "Pipeline", "OTLP", "OTLPClient", nioCore]),
        component(
            "LoadBalancingExporter", in: "Exporters/",
            ["Configuration", "Pipeline", "OTLP", "OTLPClient", "HTTP", "Kubernetes", nioCore, logging]),
        component(
            "LokiExporter", in: "Exporters/",
            [
                "Configuration", "Pipeline", "OTLP", "HTTP", "Compression", "RegularExpression", nioCore,
                nioPosix, logging,
            ]),
        component(
            "DebugExporter", in: "Exporters/",
            ["Configuration", "Pipeline", "OTLP", nioCore, nioPosix, logging]),
        component(
            "FileExporter", in: "Exporters/",
            ["Configuration", "Pipeline", "OTLP", "Compression", nioCore, nioPosix, logging]),
        component(
            "PrometheusExporter", in: "Exporters/",
            [
                "Configuration", "Pipeline", "OTLP", "HTTP", "Compression", nioCore, nioPosix, nioHTTP1,
                logging,
            ]),
        component(
            "AuditExporter", in: "Exporters/",
            [
                "AuditLog", "Configuration", "Hashing", "HTTP", "OTLP", "Pipeline", "PostgreSQLAuditStore",
                "SQLiteAuditStore",
                nioCore, nioPosix,
                logging,
            ]),
        component("NopReceiver", in: "Receivers/", ["Configuration", "Pipeline", nioCore]),
        component(
            "NopExporter", in: "Exporters/",
            ["Configuration", "OTLP", "Pipeline", nioCore]),
        component(
            "HealthCheck", in: "Extensions/",
            ["Configuration", "HTTP", "Pipeline", nioCore, nioPosix, nioHTTP1, logging]),
        component(
            "ZPages", in: "Extensions/",
            ["Configuration", "HTTP", "Pipeline", nioCore, logging]),
        component(
            "BasicAuth", in: "Extensions/",
            ["Configuration", "Hashing", "HTTP", "OTLP", "Pipeline", nioCore, logging]),
        component(
            "BearerTokenAuth", in: "Extensions/",
            ["Configuration", "Hashing", "HTTP", "Pipeline", nioCore, logging]),
        component(
            "HeadersSetter", in: "Extensions/", ["Configuration", "HTTP", "Pipeline", nioCore, logging]),
        component(
            "FileStorage", in: "Extensions/",
            ["Compression", "Configuration", "Pipeline", "OTLP", nioCore, nioPosix, logging]),
        // Connections, requests and answers of receivers that serve gRPC and HTTP.
        component(
            "RequestServing",
            ["Configuration", "Pipeline", "OTLP", "HTTP", "Compression", nioCore, nioPosix, logging]),
        // What OTLP/gRPC and OTLP/HTTP have of clients, for every exporter that sends it.
        component(
            "OTLPClient",
            ["Configuration", "Pipeline", "OTLP", "HTTP", "Compression", nioCore, nioPosix, logging]),
        // Lists and watches of a cluster's API server.
        component("Kubernetes", ["Configuration", "OTLP", "HTTP", nioCore, nioPosix, logging]),
        component("ItemMatching", ["Configuration", "OTLP", "RegularExpression"]),
        component("Hashing", ["CNettle", "CHogweed"]),
        component("AuditLog", ["Hashing", "OTLP"]),
        component("SQLiteAuditStore", ["AuditLog", "Hashing", "CSQLite"]),
        component("PostgreSQLAuditStore", ["AuditLog", "Hashing", "CPostgreSQL"]),
        // Requests that connectors and receivers make of other data.
        component("MetricBuilding", ["Pipeline", "OTLP", nioCore, nioPosix, logging]),
        // Spans that wait for the rest of their traces.
        component("TraceStore", ["Pipeline", "OTLP", nioCore]),
        component("Pipeline", ["Configuration", "OTLP", "CMalloc", nioCore, nioPosix, logging]),
        component(
            "HTTP",
            [
                "Configuration", "OTLP", "Compression", "CNghttp2", nioCore, nioPosix, nioHTTP1, nioTLS,
                nioSSL, logging,
            ]),
        component("OTLP", ["COTLP"]),
        component("Statements", ["Hashing", "MetricStreams", "OTLP", "RegularExpression"]),
        component("StatementConfiguration", ["Configuration", "OTLP", "Statements"]),
        component("MetricStreams", ["OTLP", "Pipeline"]),
        component("RegularExpression", ["CRE2"]),
        component("Compression", ["CISAL", "CLibdeflate", "CLz4", "CSnappy", "CZlib", "CZstd"]),
        component("Configuration", ["OTLP", "CYaml"]),
        // C and C++ libraries are linked statically: what is loaded at the start is half a megabyte of the idle resident size.

        // Optimized in debug builds too: without, tests and fuzzing spend most of their time in it.
        cTarget("COTLP", links: ":libprotobuf-c.a", flags: ["-O2"]),
        cTarget("CNghttp2", links: ":libnghttp2.a"),
        cTarget("CYaml", links: ":libyaml.a"),
        cTarget("CMalloc"),
        cTarget("CNettle", links: ":libnettle.a"),
        .target(
            name: "CHogweed", dependencies: ["CNettle"], path: "Sources/C/CHogweed", cSettings: cSettings,
            linkerSettings: [.linkedLibrary(":libhogweed.a"), .linkedLibrary(":libgmp.a")]),
        cTarget("CSQLite", links: ":libsqlite3.a"),
        // Not linked: loaded when an audit log in PostgreSQL is configured.
        cTarget("CPostgreSQL"),
        cTarget("CZlib", links: ":libz.a"),
        // Not linked: Debian has no static one. Loaded by the first large body that is compressed.
        cTarget("CISAL"),
        cTarget("CLibdeflate", links: ":libdeflate.a"),
        cTarget("CLz4", links: ":liblz4.a"),
        cTarget("CZstd", links: ":libzstd.a"),
        cxxTarget("CRE2", links: ":libre2.a"),
        // The static library, which needs nothing but the C++ library that the Swift runtime needs, too.
        .target(
            name: "CSnappy", path: "Sources/C/CSnappy", cSettings: cSettings,
            linkerSettings: [.linkedLibrary(":libsnappy.a"), .linkedLibrary("stdc++")]),

        .target(
            name: "TestSupport",
            dependencies: [
                "Pipeline", "OTLP", "Configuration", nioCore, nioPosix, nioHTTP1, nioEmbedded, logging,
            ],
            path: "Tests/TestSupport",
            swiftSettings: swiftSettings
        ),
        tests(of: "OTLP"),
        tests(of: "Compression", ["CZlib"]),
        tests(of: "Configuration", ["OTLP"]),
        tests(of: "Pipeline", ["OTLP", "Configuration", nioCore, nioPosix, nioEmbedded]),
        tests(
            of: "HTTP",
            ["Configuration", "CNghttp2", nioCore, nioPosix, nioHTTP1, nioSSL, nioEmbedded, logging]),
        tests(
            of: "OTLPReceiver",
            [
                "RequestServing",
                "Pipeline", "OTLP", "HTTP", "Compression", "Configuration", nioCore, nioPosix, nioEmbedded,
            ]),
        tests(
            of: "PrometheusReceiver",
            [
                "Pipeline", "OTLP", "HTTP", "Compression", "Configuration", "Kubernetes", nioCore, nioPosix,
                nioEmbedded,
            ]),
        tests(
            of: "JaegerReceiver",
            ["RequestServing", "Pipeline", "OTLP", "Configuration", nioCore, nioPosix]),
        tests(
            of: "ZipkinReceiver",
            ["RequestServing", "Pipeline", "OTLP", "Configuration", nioCore, nioPosix]),
        tests(of: "RegularExpression"),
        // Not TestSupport, which needs the whole of the transport: statements build fast alone.
        .testTarget(
            name: "StatementsTests", dependencies: ["Statements", "OTLP"], path: "Tests/StatementsTests",
            swiftSettings: swiftSettings),
        tests(of: "CumulativeToDelta", ["Pipeline", "Configuration"]),
        tests(of: "DeltaToCumulative", ["Pipeline", "Configuration"]),
        tests(of: "MetricsGeneration", ["Pipeline", "Configuration"]),
        tests(of: "DeltaToRate", ["Pipeline", "Configuration"]),
        tests(of: "Interval", ["Pipeline", "Configuration"]),
        tests(of: "MetricStartTime", ["Pipeline", "Configuration"]),
        tests(of: "MetricStreams", ["OTLP", "Pipeline"]),
        tests(of: "MetricsTransform", ["MetricStreams", "RegularExpression", "Pipeline", "Configuration"]),
        tests(of: "MemoryLimiter", ["Pipeline", "Configuration", nioCore, nioPosix, nioEmbedded]),
        tests(of: "BatchProcessor", ["Pipeline", "OTLP", "Configuration", nioCore, nioPosix, nioEmbedded]),
        tests(of: "Hashing"),
        .testTarget(
            name: "AuditLogTests", dependencies: ["AuditLog", "Hashing", "OTLP"],
            path: "Tests/AuditLogTests", swiftSettings: swiftSettings),
        .testTarget(
            name: "SQLiteAuditStoreTests",
            dependencies: ["SQLiteAuditStore", "AuditLog", "Hashing", "OTLP"],
            path: "Tests/SQLiteAuditStoreTests", swiftSettings: swiftSettings),
        .testTarget(
            name: "PostgreSQLAuditStoreTests",
            dependencies: ["PostgreSQLAuditStore", "AuditLog", "Hashing"],
            path: "Tests/PostgreSQLAuditStoreTests", swiftSettings: swiftSettings),
        tests(of: "ItemMatching", ["Configuration", "OTLP"]),
        tests(
            of: "FilterProcessor",
            ["Configuration", "OTLP", "Pipeline", nioEmbedded]),
        tests(
            of: "TransformProcessor",
            ["Configuration", "OTLP", "Pipeline", nioEmbedded]),
        tests(of: "AttributesProcessor", ["Configuration", "OTLP", "Pipeline", nioCore, nioEmbedded]),
        tests(of: "ProbabilisticSampler", ["Configuration", "OTLP", "Pipeline", nioEmbedded]),
        tests(of: "SpanProcessor", ["Configuration", "OTLP", "Pipeline"]),
        tests(of: "RedactionProcessor", ["Configuration", "OTLP", "Pipeline"]),
        tests(
            of: "LogDeduplication", ["Configuration", "OTLP", "Pipeline", nioCore, nioEmbedded]),
        tests(
            of: "KubernetesAttributes",
            ["Configuration", "HTTP", "Kubernetes", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(of: "ResourceDetection", ["Configuration", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(of: "GroupByAttributes", ["Configuration", "OTLP", "Pipeline", nioEmbedded]),
        // Every processor with the same data.
        .testTarget(
            name: "ProcessorsTests",
            dependencies: [
                "AttributesProcessor", "BatchProcessor", "CumulativeToDelta", "DeltaToCumulative",
                "DeltaToRate", "FilterProcessor", "GroupByAttributes", "GroupByTrace", "Interval",
                "KubernetesAttributes", "LogDeduplication", "MemoryLimiter", "MetricStartTime",
                "MetricsGeneration", "MetricsTransform", "ProbabilisticSampler", "RedactionProcessor",
                "ResourceDetection", "SpanProcessor", "TailSampling", "TransformProcessor",
                "Configuration", "OTLP", "Pipeline", "TestSupport", nioCore, nioPosix,
            ],
            path: "Tests/ProcessorsTests", swiftSettings: swiftSettings),
        tests(of: "TraceStore", ["Pipeline", "OTLP", nioCore, nioEmbedded]),
        tests(
            of: "GroupByTrace",
            ["Pipeline", "OTLP", "Configuration", nioCore, nioPosix, nioEmbedded]),
        tests(of: "ForwardConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "RoundRobinConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "FailoverConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "RoutingConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "CountConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "MetricBuilding", ["Configuration", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(
            of: "SpanMetricsConnector",
            ["Pipeline", "OTLP", "Configuration", "MetricBuilding", nioCore, nioEmbedded]),
        tests(
            of: "ServiceGraphConnector",
            ["Pipeline", "OTLP", "Configuration", "MetricBuilding", nioCore, nioEmbedded]),
        tests(
            of: "SignalToMetricsConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(of: "ExceptionsConnector", ["Pipeline", "OTLP", "Configuration", nioCore, nioEmbedded]),
        tests(
            of: "TailSampling",
            ["Pipeline", "OTLP", "Configuration", "TraceStore", nioCore, nioEmbedded]),
        tests(
            of: "OTLPExporter",
            [
                "OTLPClient", "Pipeline", "OTLP", "HTTP", "Compression", "Configuration", nioCore, nioPosix,
                nioEmbedded,
            ]),
        tests(
            of: "LoadBalancingExporter",
            [
                "Pipeline", "OTLP", "HTTP", "Configuration", "Kubernetes", nioCore, nioPosix, nioEmbedded,
                logging,
            ]),
        tests(
            of: "LokiExporter",
            [
                "Pipeline", "OTLP", "HTTP", "Compression", "Configuration", nioCore, nioPosix, nioEmbedded,
                logging,
            ]),
        tests(
            of: "AuditExporter",
            ["AuditLog", "SQLiteAuditStore", "Pipeline", "OTLP", "Configuration", nioCore, nioPosix, logging]),
        tests(of: "DebugExporter", ["Pipeline", "OTLP", "Configuration", nioCore, nioPosix, logging]),
        tests(
            of: "FileExporter",
            ["Pipeline", "OTLP", "Compression", "Configuration", nioCore, nioPosix, nioEmbedded, logging]),
        tests(
            of: "PrometheusExporter",
            [
                "Pipeline", "OTLP", "HTTP", "Compression", "Configuration", nioCore, nioPosix, nioHTTP1,
                nioEmbedded, logging,
            ]),
        tests(of: "ZPages", ["HTTP", "Pipeline", "OTLP", "Configuration", nioCore, nioPosix, logging]),
        tests(of: "BasicAuth", ["Configuration", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(of: "BearerTokenAuth", ["Configuration", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(of: "HeadersSetter", ["Configuration", "OTLP", "Pipeline", nioCore, nioPosix]),
        tests(of: "HealthCheck", ["HTTP", "Pipeline", "Configuration", nioCore, nioPosix]),
        tests(
            of: "FileStorage",
            ["Compression", "Pipeline", "OTLP", "Configuration", nioCore, nioPosix, logging]),
        tests(of: "Service", ["Configuration", "OTLP", "Pipeline", "HTTP", nioCore, nioPosix, logging]),
    ],
    cLanguageStandard: .c11
)

// Only for who asks, since it takes a minute more to build: SLUICE_BENCHMARKS=1, as bench/micro does.
if Context.environment["SLUICE_BENCHMARKS"] != nil {
    package.dependencies.append(
        .package(url: "https://github.com/ordo-one/benchmark", from: "1.38.1", traits: []))
    package.targets.append(
        .executableTarget(
            name: "Micro",
            dependencies: [
                "Compression", "OTLP", "Pipeline", "TestSupport", nioCore, nioEmbedded,
                .product(name: "Benchmark", package: "benchmark"),
            ],
            path: "bench/Benchmarks/Micro",
            swiftSettings: swiftSettings,
            plugins: [.plugin(name: "BenchmarkPlugin", package: "benchmark")]
        ))
}

// Two cores are few: SLUICE_ONLY=PipelineTests,OTLPTests leaves only these targets and what they need.
if let only = Context.environment["SLUICE_ONLY"], !only.isEmpty {
    let byName = Dictionary(uniqueKeysWithValues: package.targets.map { ($0.name, $0) })
    var kept: Set<String> = []
    var open = only.split(separator: ",").map(String.init)
    while let name = open.popLast() {
        guard let target = byName[name], kept.insert(name).inserted else { continue }
        for dependency in target.dependencies {
            switch dependency {
            case .byNameItem(let name, _), .targetItem(let name, _): open.append(name)
            default: break
            }
        }
    }
    package.targets.removeAll { !kept.contains($0.name) }
    package.products = []
}
