import OTLP

extension Sluice {
    /// `sluice generate`: an example of a signal as OTLP JSON, input for `sluice transform` and tests.
    static func generate(_ arguments: Arguments) throws(UsageError) {
        guard arguments.value("--signal") != nil else {
            throw UsageError(description: "generate needs --signal traces, metrics or logs")
        }
        let signal = try arguments.choice("--signal", of: Signal.allCases.map(\.name))
        let count = try arguments.number("--items", default: 6, in: 1...100_000)
        let json =
            switch signal {
            case "traces": ExampleRequest.traces(count)
            case "metrics": ExampleRequest.metrics(count)
            default: ExampleRequest.logs(count)
            }
        print(PrettyJSON.text(Array(json.utf8)))
    }
}

/// Requests with something of everything that processors look at. The same text for the same number, so that tests can use it.
enum ExampleRequest {
    /// 2026-01-01, in nanoseconds.
    private static let start: UInt64 = 1_767_225_600_000_000_000
    private static let methods = ["GET", "POST", "PUT", "DELETE"]
    private static let paths = ["/", "/users/42", "/cart", "/checkout?step=2", "/healthz"]

    private static let resource = """
        {"attributes":[\(text("service.name", "shop")),\(text("service.version", "1.4.2")),\
        \(text("host.name", "node-1")),\(text("k8s.namespace.name", "default")),\(text("k8s.pod.ip", "10.1.2.3"))]}
        """

    static func traces(_ count: Int) -> String {
        let spans = (0..<count).map { index in
            let begin = start + UInt64(index) * 1_000_000
            let isRoot = index.isMultiple(of: 3)
            let status = [200, 200, 404, 500][index % 4]
            var span = """
                {"traceId":"\(hex(UInt64(index / 3 + 1), 32))","spanId":"\(hex(UInt64(index + 1), 16))",
                """
            if !isRoot { span += "\"parentSpanId\":\"\(hex(UInt64(index / 3 * 3 + 1), 16))\"," }
            span += """
                "name":"\(methods[index % 4]) \(paths[index % 5])","kind":\(isRoot ? 2 : index % 3 == 1 ? 3 : 1),\
                "startTimeUnixNano":"\(begin)","endTimeUnixNano":"\(begin + UInt64(index % 7 + 1) * 750_000)",\
                "attributes":[\(text("http.request.method", methods[index % 4])),\
                \(text("url.path", paths[index % 5])),\(int("http.response.status_code", status)),\
                \(text("user.email", "user\(index)@example.com"))]
                """
            if status == 500 {
                span += """
                    ,"events":[{"timeUnixNano":"\(begin + 500_000)","name":"exception",\
                    "attributes":[\(text("exception.type", "TimeoutError"))]}],\
                    "status":{"code":2,"message":"upstream timed out"}
                    """
            }
            return span + "}"
        }
        return request("Spans", "spans", spans)
    }

    static func logs(_ count: Int) -> String {
        let levels = [(9, "INFO"), (13, "WARN"), (17, "ERROR"), (5, "DEBUG")]
        let records = (0..<count).map { index in
            let time = start + UInt64(index) * 1_000_000
            let level = levels[index % 4]
            let body =
                index.isMultiple(of: 3)
                ? "{\"kvlistValue\":{\"values\":[\(text("message", "order placed")),\(int("order.id", 1000 + index))]}}"
                : "{\"stringValue\":\"\(methods[index % 4]) \(paths[index % 5]) took \(index * 3 + 1) ms\"}"
            return """
                {"timeUnixNano":"\(time)","observedTimeUnixNano":"\(time + 1_000)","severityNumber":\(level.0),\
                "severityText":"\(level.1)","body":\(body),"attributes":[\(text("log.file.name", "shop.log")),\
                \(text("thread.name", "worker-\(index % 2)"))],"traceId":"\(hex(UInt64(index / 3 + 1), 32))",\
                "spanId":"\(hex(UInt64(index + 1), 16))"}
                """
        }
        return request("Logs", "logRecords", records)
    }

    /// So many metrics, of one point each.
    static func metrics(_ count: Int) -> String {
        let metrics = (0..<count).map { index in
            let times = "\"startTimeUnixNano\":\"\(start)\",\"timeUnixNano\":\"\(start + 60_000_000_000)\""
            let point = "\(times),\"attributes\":[\(text("http.request.method", methods[index % 4]))]"
            switch index % 5 {
            case 0:
                return """
                    {"name":"http.server.requests","unit":"{request}","sum":{"aggregationTemporality":2,"isMonotonic":true,\
                    "dataPoints":[{\(point),"asInt":"\(100 + index)"}]}}
                    """
            case 1:
                return """
                    {"name":"process.memory.usage","unit":"By","gauge":{"dataPoints":[{\(point),"asDouble":\(index).5}]}}
                    """
            case 2:
                return """
                    {"name":"http.server.request.duration","unit":"s","histogram":{"aggregationTemporality":2,\
                    "dataPoints":[{\(point),"count":"6","sum":1.5,"bucketCounts":["1","2","3"],"explicitBounds":[0.1,0.5],\
                    "min":0.01,"max":0.9}]}}
                    """
            case 3:
                return """
                    {"name":"rpc.duration","unit":"ms","exponentialHistogram":{"aggregationTemporality":1,\
                    "dataPoints":[{\(point),"count":"5","sum":12.5,"scale":1,"zeroCount":"1",\
                    "positive":{"offset":2,"bucketCounts":["1","3"]}}]}}
                    """
            default:
                return """
                    {"name":"gc.pause","unit":"s","summary":{"dataPoints":[{\(point),"count":"4","sum":0.2,\
                    "quantileValues":[{"quantile":0.5,"value":0.04},{"quantile":1,"value":0.09}]}]}}
                    """
            }
        }
        return request("Metrics", "metrics", metrics)
    }

    private static func request(_ what: String, _ items: String, _ list: [String]) -> String {
        """
        {"resource\(what)":[{"resource":\(resource),"scope\(what)":[{"scope":{"name":"shop.http","version":"0.9"},\
        "\(items)":[\(list.joined(separator: ","))]}]}]}
        """
    }

    private static func text(_ key: String, _ value: String) -> String {
        "{\"key\":\"\(key)\",\"value\":{\"stringValue\":\"\(value)\"}}"
    }

    private static func int(_ key: String, _ value: Int) -> String {
        "{\"key\":\"\(key)\",\"value\":{\"intValue\":\"\(value)\"}}"
    }

    private static func hex(_ number: UInt64, _ digits: Int) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: digits - text.count) + text
    }
}
