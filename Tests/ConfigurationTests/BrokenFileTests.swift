import Configuration
import Testing

/// A file with mistakes and all that an operator is told about it.
struct BrokenFile: Sendable, CustomTestStringConvertible {
    let name: String
    let yaml: String
    let expected: String

    var testDescription: String { name }
}

@Suite("Broken files")
struct BrokenFileTests {
    @Test("every mistake is named with its place, its line and what to write", arguments: BrokenFile.all)
    func message(file: BrokenFile) {
        let found = problems(file.yaml)
        #expect(found == file.expected + "\n", "\(file.name):\n\(found)")
    }

    @Test("every error says what to do instead", arguments: BrokenFile.all)
    func help(file: BrokenFile) {
        let text = problems(file.yaml)
        #expect(
            text.ranges(of: "error: ").count <= text.ranges(of: "   help: ").count, "\(file.name):\n\(text)")
    }

    @Test("there are enough broken files, and no two alike")
    func count() {
        #expect(BrokenFile.all.count >= 20)
        #expect(Set(BrokenFile.all.map(\.expected)).count == BrokenFile.all.count)
    }
}

extension BrokenFile {
    static let all = components + pipelines + syntax

    /// A good file with this batch section.
    private static func batch(_ body: String) -> String {
        """
        processors:
          batch:
        \(body)
        receivers: {otlp: }
        exporters: {nop: }
        service: {pipelines: {traces: {receivers: [otlp], processors: [batch], exporters: [nop]}}}
        """
    }

    /// A good file with this exporter section.
    private static func exporter(_ body: String) -> String {
        """
        exporters:
          otlp:
        \(body)
        receivers: {otlp: }
        service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}
        """
    }

    /// A good file with these pipelines.
    private static func pipelines(_ body: String) -> String {
        """
        receivers: {otlp: }
        processors: {memory_limiter: , batch: }
        exporters: {nop: , debug: , tracesonly: }
        service:
          pipelines:
        \(body)
        """
    }

    private static let components = [
        BrokenFile(
            name: "misspelt key", yaml: batch("    send_batch_sise: 1024"),
            expected: """
                gateway.yaml:3:5: error: processors::batch: unknown key "send_batch_sise"
                   3 |     send_batch_sise: 1024
                     |     ^~~~~~~~~~~~~~~
                   help: did you mean "send_batch_size"?
                """),
        BrokenFile(
            name: "strange key", yaml: batch("    colour: red"),
            expected: """
                gateway.yaml:3:5: error: processors::batch: unknown key "colour"
                   3 |     colour: red
                     |     ^~~~~~
                   help: known keys: send_batch_max_size, send_batch_size, timeout
                """),
        BrokenFile(
            name: "duration without a unit", yaml: batch("    timeout: 10"),
            expected: """
                gateway.yaml:3:14: error: processors::batch::timeout: expected a duration, found the number 10
                   3 |     timeout: 10
                     |              ^~
                   help: a duration needs a unit: write 10s for seconds or 10ms for milliseconds
                """),
        BrokenFile(
            name: "duration with a strange unit", yaml: batch("    timeout: \"10 seconds\" # slow"),
            expected: """
                gateway.yaml:3:14: error: processors::batch::timeout: expected a duration, found the text "10 seconds"
                   3 |     timeout: "10 seconds" # slow
                     |              ^~~~~~~~~~~~
                   help: write a number with a unit, such as 200ms, 5s or 1m30s
                """),
        BrokenFile(
            name: "negative duration", yaml: batch("    timeout: -1s"),
            expected: """
                gateway.yaml:3:14: error: processors::batch::timeout: must not be negative, found -1s
                   3 |     timeout: -1s
                     |              ^~~
                   help: write 0s or a duration such as 5s
                """),
        BrokenFile(
            name: "text for a number", yaml: batch("    send_batch_size: many"),
            expected: """
                gateway.yaml:3:22: error: processors::batch::send_batch_size: expected a whole number, found the text "many"
                   3 |     send_batch_size: many
                     |                      ^~~~
                   help: write digits without quotes or a unit
                """),
        BrokenFile(
            name: "two mistakes in two places",
            yaml: batch("    send_batch_size: -1\n    timeout: {}"),
            expected: """
                gateway.yaml:3:22: error: processors::batch::send_batch_size: must be at least 0, found -1
                   3 |     send_batch_size: -1
                     |                      ^~
                   help: write a number that is at least 0
                gateway.yaml:4:5: error: processors::batch::timeout: expected a duration, found a section
                   4 |     timeout: {}
                     |     ^~~~~~~
                   help: write a number with a unit, such as 200ms, 5s or 1m30s
                """),
        BrokenFile(
            name: "scalar for a section", yaml: exporter("    endpoint: tempo:4317\n    tls: false"),
            expected: """
                gateway.yaml:4:10: error: exporters::otlp::tls: expected a section, found the boolean false
                   4 |     tls: false
                     |          ^~~~~
                   help: write its keys below it, indented
                """),
        BrokenFile(
            name: "yes for true", yaml: exporter("    tls:\n      insecure: yes"),
            expected: """
                gateway.yaml:4:17: error: exporters::otlp::tls::insecure: expected true or false, found the text "yes"
                   4 |       insecure: yes
                     |                 ^~~
                   help: write insecure: true or insecure: false
                """),
        BrokenFile(
            name: "key outside its section", yaml: exporter("    insecure: true"),
            expected: """
                gateway.yaml:3:5: error: exporters::otlp: unknown key "insecure"
                   3 |     insecure: true
                     |     ^~~~~~~~
                   help: write it under "tls:"
                """),
        BrokenFile(
            name: "key beside its section",
            yaml: exporter("    sending_queue:\n      enabled: true\n    num_consumers: 5"),
            expected: """
                gateway.yaml:5:5: error: exporters::otlp: unknown key "num_consumers"
                   5 |     num_consumers: 5
                     |     ^~~~~~~~~~~~~
                   help: indent it under "sending_queue:"
                """),
        BrokenFile(
            name: "key one level too deep", yaml: exporter("    tls:\n      endpoint: tempo:4317"),
            expected: """
                gateway.yaml:4:7: error: exporters::otlp::tls: unknown key "endpoint"
                   4 |       endpoint: tempo:4317
                     |       ^~~~~~~~
                   help: it belongs one level up, beside "tls"
                """),
        BrokenFile(
            name: "out of range and unknown choice",
            yaml: exporter("    sending_queue: {num_consumers: 0, sizer: item}"),
            expected: """
                gateway.yaml:3:36: error: exporters::otlp::sending_queue::num_consumers: must be between 1 and 64, found 0
                   3 |     sending_queue: {num_consumers: 0, sizer: item}
                     |                                    ^
                   help: write a number that is between 1 and 64
                gateway.yaml:3:46: error: exporters::otlp::sending_queue::sizer: unknown value "item"; \
                must be requests, items or bytes
                   3 |     sending_queue: {num_consumers: 0, sizer: item}
                     |                                              ^~~~
                   help: did you mean "items"?
                """),
        BrokenFile(
            name: "not supported yet", yaml: exporter("    auth:\n      authenticator: basicauth"),
            expected: """
                gateway.yaml:3:5: error: exporters::otlp::auth: is not supported yet; write the credentials under "headers"
                   3 |     auth:
                     |     ^~~~
                   help: remove "auth"
                """),
        BrokenFile(
            name: "number for a text, secret not shown",
            yaml: exporter("    headers:\n      X-Scope-OrgID: 12"),
            expected: """
                gateway.yaml:4:7: error: exporters::otlp::headers::X-Scope-OrgID: expected a text
                   help: put it in quotes
                """),
    ]

    private static let pipelines = [
        BrokenFile(
            name: "dangling references",
            yaml: pipelines(
                """
                    traces:
                      receivers: [oltp]
                      processors:
                        - batch
                        - filter
                      exporters: [nop, nop]
                """),
            expected: """
                gateway.yaml:7:19: error: service::pipelines::traces: references receiver "oltp" which is not configured
                   7 |       receivers: [oltp]
                     |                   ^~~~
                   help: did you mean "otlp"?
                gateway.yaml:10:11: error: service::pipelines::traces: references processor "filter" which is not configured
                   10 |         - filter
                      |           ^~~~~~
                   help: add "filter:" under "processors:"; configured are memory_limiter, batch
                gateway.yaml:11:24: error: service::pipelines::traces: references exporter "nop" multiple times
                   11 |       exporters: [nop, nop]
                      |                        ^~~
                   help: keep one of them
                """),
        BrokenFile(
            name: "empty pipelines",
            yaml: pipelines("    traces:\n    logs: {receivers: [], exporters: nop}"),
            expected: """
                gateway.yaml:6:5: error: service::pipelines::traces: must have at least one receiver
                   6 |     traces:
                     |     ^~~~~~
                   help: name one under "receivers:"
                gateway.yaml:6:5: error: service::pipelines::traces: must have at least one exporter
                   6 |     traces:
                     |     ^~~~~~
                   help: name one under "exporters:"
                gateway.yaml:7:5: error: service::pipelines::logs: must have at least one receiver
                   7 |     logs: {receivers: [], exporters: nop}
                     |     ^~~~
                   help: name one under "receivers:"
                """),
        BrokenFile(
            name: "unknown signals", yaml: pipelines("    trace: {}\n    profiles: {}\n    tr ace: {}"),
            expected: """
                gateway.yaml:6:5: error: service::pipelines: unknown signal "trace"; must be traces, metrics or logs
                   6 |     trace: {}
                     |     ^~~~~
                   help: did you mean "traces"?
                gateway.yaml:7:5: error: service::pipelines: profiles are not supported yet; use traces, metrics or logs
                   7 |     profiles: {}
                     |     ^~~~~~~~
                   help: remove this pipeline
                gateway.yaml:8:5: error: service::pipelines: "tr ace" is not a valid pipeline id
                   8 |     tr ace: {}
                     |     ^~~~~~
                   help: write traces, metrics or logs, optionally followed by a slash and a name
                """),
        BrokenFile(
            name: "wrong signal", yaml: pipelines("    logs: {receivers: [otlp], exporters: [tracesonly]}"),
            expected: """
                gateway.yaml:6:43: error: service::pipelines::logs: exporter "tracesonly" cannot carry logs: \
                telemetry type is not supported
                   6 |     logs: {receivers: [otlp], exporters: [tracesonly]}
                     |                                           ^~~~~~~~~~
                   help: it carries traces
                """),
        BrokenFile(
            name: "limiter behind batch",
            yaml: pipelines(
                "    traces: {receivers: [otlp], processors: [batch, memory_limiter], exporters: [nop]}"),
            expected: """
                gateway.yaml:6:53: warning: service::pipelines::traces: processor "batch" stands before \
                "memory_limiter", which then cannot refuse what is already held
                   6 |     traces: {receivers: [otlp], processors: [batch, memory_limiter], exporters: [nop]}
                     |                                                     ^~~~~~~~~~~~~~
                   help: put "memory_limiter" first
                """),
        BrokenFile(
            name: "unknown key in a pipeline",
            yaml: pipelines("    traces: {receivers: [otlp], exporter: [nop], exporters: [nop]}"),
            expected: """
                gateway.yaml:6:33: error: service::pipelines::traces: unknown key "exporter"
                   6 |     traces: {receivers: [otlp], exporter: [nop], exporters: [nop]}
                     |                                 ^~~~~~~~
                   help: did you mean "exporters"?
                """),
        BrokenFile(
            name: "no pipeline", yaml: "receivers: {otlp: }\nexporters: {nop: }\nservice:\n  pipelines: {}",
            expected: """
                gateway.yaml:3:1: error: service: service must have at least one pipeline
                   3 | service:
                     | ^~~~~~~
                   help: add "pipelines:" under "service:"
                """),
        BrokenFile(
            name: "nothing at all", yaml: "# nothing yet",
            expected: """
                gateway.yaml:1:1: error: the configuration is empty
                   1 | # nothing yet
                     | ^
                   help: write receivers:, exporters: and service: {pipelines: …}
                """),
        BrokenFile(
            name: "unknown types, ids and sections",
            yaml: smallest
                + "\nprocessors:\n  bach:\n  bat ch:\n  filter:\nextension: {}\nconnectors:\n  forward:",
            expected: """
                gateway.yaml:11:3: error: processors: unknown type: "bach" for id: "bach" (valid values: [batch, memory_limiter])
                   11 |   bach:
                      |   ^~~~
                   help: did you mean "batch"?
                gateway.yaml:12:3: error: processors: "bat ch" is not a valid processor id
                   12 |   bat ch:
                      |   ^~~~~~
                   help: write a type such as "otlp", or a type and a name such as "otlp/second"
                gateway.yaml:13:3: error: processors: processor "filter" is not built into this version yet
                   13 |   filter:
                      |   ^~~~~~
                   help: remove it from the pipelines, or do this in the SDKs or Collectors that send here
                gateway.yaml:14:1: error: unknown key "extension"
                   14 | extension: {}
                      | ^~~~~~~~~
                   help: did you mean "extensions"?
                gateway.yaml:16:3: error: connectors: connector "forward" is not built into this version yet
                   16 |   forward:
                      |   ^~~~~~~
                   help: remove it, and name the exporters in each pipeline
                """),
        BrokenFile(
            name: "dangling extension",
            yaml: smallest
                + "\n  extensions: [health_chek, health_check, health_check]\nextensions:\n  health_check:",
            expected: """
                gateway.yaml:10:16: error: service::extensions: references extension "health_chek" which is not configured
                   10 |   extensions: [health_chek, health_check, health_check]
                      |                ^~~~~~~~~~~
                   help: did you mean "health_check"?
                gateway.yaml:10:43: error: service::extensions: references extension "health_check" multiple times
                   10 |   extensions: [health_chek, health_check, health_check]
                      |                                           ^~~~~~~~~~~~
                   help: keep one of them
                """),
        BrokenFile(
            name: "own telemetry",
            yaml: smallest
                + """

                  telemetry:
                    logs: {level: verbose, encoding: jsn}
                    metrics:
                      address: 0.0.0.0
                      readers: [{periodic: {interval: 5, exporter: {otlp: }}}, {pull: {exporter: {prometheus: {port: 70000}}}}]
                """,
            expected: """
                gateway.yaml:11:19: error: service::telemetry::logs::level: unknown value "verbose"; \
                must be debug, info, warn, error or fatal
                   11 |     logs: {level: verbose, encoding: jsn}
                      |                   ^~~~~~~
                   help: correct "level", or remove it
                gateway.yaml:11:38: error: service::telemetry::logs::encoding: unknown value "jsn"; must be console or json
                   11 |     logs: {level: verbose, encoding: jsn}
                      |                                      ^~~
                   help: did you mean "json"?
                gateway.yaml:13:16: error: service::telemetry::metrics::address: "0.0.0.0" has no port
                   13 |       address: 0.0.0.0
                      |                ^~~~~~~
                   help: write 0.0.0.0:8888
                gateway.yaml:13:16: warning: service::telemetry::metrics::address: is deprecated
                   13 |       address: 0.0.0.0
                      |                ^~~~~~~
                   help: write host and port under readers: [{pull: {exporter: {prometheus: …}}}]
                gateway.yaml:14:102: error: service::telemetry::metrics::readers::1::pull::exporter::prometheus::port: \
                must be between 0 and 65535, found 70000
                   14 |       readers: [{periodic: {interval: 5, exporter: {otlp: }}}, {pull: {exporter: {prometheus: {port: 70000}}}}]
                      |                                                                                                      ^~~~~
                   help: write a number that is between 0 and 65535
                """),
    ]

    private static let pipelinesOnly = """
        exporters: {nop: }
        service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
        """

    private static let syntax = [
        BrokenFile(
            name: "tab", yaml: "receivers:\n\totlp:\n",
            expected: """
                gateway.yaml:2:1: error: not valid YAML: found character that cannot start any token
                   2 | \totlp:
                     | ^
                   help: indent with spaces; YAML does not allow tabs there
                """),
        BrokenFile(
            name: "repeated key", yaml: "receivers:\n  otlp:\nexporters:\n  nop:\n  debug:\n  nop:\n",
            expected: """
                gateway.yaml:6:3: error: key "nop" is already set on line 4
                   6 |   nop:
                     |   ^~~
                   help: keep one of the two
                """),
        BrokenFile(
            name: "key written in two ways", yaml: "receivers::otlp:\nreceivers: 2\n" + pipelinesOnly,
            expected: """
                gateway.yaml:2:1: error: key "receivers" is already set on line 1
                   2 | receivers: 2
                     | ^~~~~~~~~
                   help: keep one of the two
                """),
        BrokenFile(
            name: "open bracket",
            yaml: "receivers: {otlp: }\nservice: {pipelines: {traces: {receivers: [otlp}}}\n",
            expected: """
                gateway.yaml:2:48: error: not valid YAML: did not find expected ',' or ']' \
                while parsing a flow sequence
                   2 | service: {pipelines: {traces: {receivers: [otlp}}}
                     |                                                ^
                   help: check the quotes and brackets of this line and those before it
                """),
        BrokenFile(
            name: "open quotes", yaml: "receivers:\n  otlp: \"abc\n",
            expected: """
                gateway.yaml:2:13: error: not valid YAML: found unexpected end of stream \
                while scanning a quoted scalar
                   2 |   otlp: "abc
                     |             ^
                   help: check the quotes and brackets of this line and those before it
                """),
        BrokenFile(
            name: "wrong indentation", yaml: "receivers:\n  otlp:\n   protocols:\n  grpc: x: y\n",
            expected: """
                gateway.yaml:4:10: error: not valid YAML: mapping values are not allowed in this context
                   4 |   grpc: x: y
                     |          ^
                   help: check the indentation of this line and the one before; put texts that contain ": " in quotes
                """),
    ]
}
