import OTLP
import TestSupport
import Testing

/// A request as OTLP JSON.
func otlpJSONText(_ request: [UInt8], _ signal: Signal) -> String {
    request.withUnsafeBytes { String(decoding: otlpJSON($0, signal), as: UTF8.self) }
}

/// If one failed, a backend or a reader of files would not understand our JSON, or take it for something else.
struct OTLPJSONWriterTests {
    @Test(arguments: Signal.allCases)
    func anEmptyRequestIsAnEmptyObject(signal: Signal) {
        #expect(otlpJSONText([], signal) == "{}")
    }

    @Test func aSpanWithEverything() throws {
        let request = message {
            $0.message(1) {
                $0.message(1) {
                    $0.attribute(1, "service.name", "shop")
                    $0.integer(2, 7)
                    $0.message(3) {
                        $0.text(1, "https://schema")
                        $0.text(2, "service")
                        $0.text(3, "service.name")
                        $0.text(3, "service.instance.id")
                        $0.text(4, "service.version")
                    }
                }
                $0.message(2) {
                    $0.message(1) {
                        $0.text(1, "library")
                        $0.text(2, "1.0")
                    }
                    $0.message(2) {
                        $0.field(1, Array(0xA0...0xAF))
                        $0.field(2, Array(0xB0...0xB7))
                        $0.text(3, "vendor=1")
                        $0.field(4, [1, 2, 3, 4, 5, 6, 7, 8])
                        $0.fixed32(16, 0x301)
                        $0.text(5, "GET /")
                        $0.integer(6, 2)
                        $0.fixed64(7, 1_700_000_000_000_000_001)
                        $0.fixed64(8, .max)
                        $0.attribute(9, "n", 5)
                        $0.integer(10, 1)
                        $0.message(11) {
                            $0.fixed64(1, 3)
                            $0.text(2, "event")
                        }
                        $0.message(13) {
                            $0.field(1, Array(0...15))
                            $0.field(2, Array(0...7))
                            $0.fixed32(6, 1)
                        }
                        $0.message(15) {
                            $0.text(2, "it \"broke\"")
                            $0.integer(3, 2)
                        }
                    }
                    $0.text(3, "https://scope")
                }
                $0.text(3, "https://resource")
            }
        }
        _ = try summary(request, .traces)
        let expected =
            #"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}],"#
            + #""droppedAttributesCount":7,"entityRefs":[{"schemaUrl":"https://schema","type":"service","#
            + #""idKeys":["service.name","service.instance.id"],"descriptionKeys":["service.version"]}]},"#
            + #""scopeSpans":[{"scope":{"name":"library","version":"1.0"},"spans":["#
            + #"{"traceId":"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf","spanId":"b0b1b2b3b4b5b6b7","traceState":"vendor=1","#
            + #""parentSpanId":"0102030405060708","flags":769,"name":"GET /","kind":2,"#
            + #""startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"18446744073709551615","#
            + #""attributes":[{"key":"n","value":{"intValue":"5"}}],"droppedAttributesCount":1,"#
            + #""events":[{"timeUnixNano":"3","name":"event"}],"#
            + #""links":[{"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","flags":1}],"#
            + #""status":{"message":"it \"broke\"","code":2}}],"schemaUrl":"https://scope"}],"#
            + #""schemaUrl":"https://resource"}]}"#
        #expect(otlpJSONText(request, .traces) == expected)
    }

    /// The body of one log record, written by `body` as an `AnyValue`.
    private func logBody(_ body: (inout ProtoWriter) -> Void) -> String {
        let request = message { $0.message(1) { $0.message(2) { $0.message(2) { $0.message(5, body) } } } }
        let text = otlpJSONText(request, .logs)
        let before = #"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":"#
        #expect(text.hasPrefix(before))
        return String(text.dropFirst(before.count).dropLast("}]}]}]}".count))
    }

    @Test func everyKindOfValue() {
        #expect(logBody { _ in } == "{}")
        #expect(logBody { $0.text(1, "") } == #"{"stringValue":""}"#)
        #expect(logBody { $0.integer(2, 0) } == #"{"boolValue":false}"#)
        #expect(logBody { $0.integer(2, 1) } == #"{"boolValue":true}"#)
        #expect(logBody { $0.integer(3, 0) } == #"{"intValue":"0"}"#)
        #expect(
            logBody { $0.integer(3, UInt64(bitPattern: .min)) } == #"{"intValue":"-9223372036854775808"}"#)
        #expect(logBody { $0.double(4, 0) } == #"{"doubleValue":0}"#)
        #expect(logBody { $0.double(4, .nan) } == #"{"doubleValue":"NaN"}"#)
        #expect(logBody { $0.double(4, -.infinity) } == #"{"doubleValue":"-Infinity"}"#)
        #expect(logBody { $0.field(5, []) } == #"{"arrayValue":{}}"#)
        #expect(
            logBody { $0.message(5) { for _ in 0..<2 { $0.message(1) { $0.integer(3, 1) } } } }
                == #"{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"1"}]}}"#)
        #expect(
            logBody { $0.message(6) { $0.attribute(1, "k", "v") } }
                == #"{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}"#)
        #expect(logBody { $0.field(7, [0xFF, 0xFE]) } == #"{"bytesValue":"//4="}"#)
    }

    @Test func ofSeveralValuesTheLastCounts() {
        let text = logBody {
            $0.text(1, "first")
            $0.integer(3, 2)
        }
        #expect(text == #"{"intValue":"2"}"#)
        let twice = logBody {
            $0.text(1, "first")
            $0.text(1, "second")
        }
        #expect(twice == #"{"stringValue":"second"}"#)
    }

    @Test func unknownFieldsAreLeftOut() {
        let text = logBody {
            $0.integer(31, 5)
            $0.text(1, "known")
            $0.field(99, [1, 2, 3])
            $0.fixed32(536_870_911, 1)
        }
        #expect(text == #"{"stringValue":"known"}"#)
    }

    /// If it failed, a histogram would lose the buckets that stand apart on the wire, or have a key twice.
    @Test func listsAreGatheredWhereverTheyStand() throws {
        let request = message {
            $0.message(1) {
                $0.message(2) {
                    $0.message(2) {
                        $0.text(1, "h")
                        $0.message(9) {
                            $0.message(1) {
                                $0.packedFixed64(6, [1, 2])
                                $0.packedFixed64(7, [Double(0.5).bitPattern])
                                $0.fixed64(6, 3)
                                $0.packedFixed64(6, [])
                                $0.double(7, 1e9)
                                $0.fixed64(4, 0)
                                $0.double(11, 0)
                            }
                            $0.integer(2, 2)
                        }
                    }
                }
            }
        }
        _ = try mended(request, .metrics)
        let text = otlpJSONText(request, .metrics)
        #expect(text.contains(#""bucketCounts":["1","2","3"]"#))
        #expect(text.contains(#""explicitBounds":[0.5,1000000000]"#))
        #expect(text.contains(#""min":0"#))
        #expect(!text.contains("count\""), "a default value was written: \(text)")
        #expect(text.contains(#""aggregationTemporality":2"#))
    }

    @Test func numbersOfEveryKindOfMetric() throws {
        let point: (inout ProtoWriter) -> Void = {
            $0.integer(6, 3)  // sint32 scale: -2
            $0.fixed64(7, 4)
            $0.message(8) {
                $0.integer(1, 5)  // sint32 offset: -3
                $0.packedVarint(2, [1, 300, UInt64.max])
                $0.integer(2, 7)
            }
            $0.double(14, 0.25)
            $0.message(11) {
                $0.fixed64(2, 9)
                $0.fixed64(6, UInt64(bitPattern: -1))
                $0.field(4, [1, 2, 3, 4, 5, 6, 7, 8])
            }
        }
        let request = message {
            $0.message(1) {
                $0.message(2) {
                    $0.message(2) { $0.message(10) { $0.message(1, point) } }
                    $0.message(2) {
                        $0.message(11) { $0.message(1) { $0.message(6) { $0.double(1, 0.99) } } }
                    }
                    $0.message(2) {
                        $0.message(7) {
                            $0.message(1) { $0.fixed64(6, 0) }
                            $0.integer(3, 1)
                        }
                    }
                }
            }
        }
        _ = try mended(request, .metrics)
        let expected =
            #"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":["#
            + #"{"scale":-2,"zeroCount":"4","positive":{"offset":-3,"#
            + #""bucketCounts":["1","300","18446744073709551615","7"]},"zeroThreshold":0.25,"#
            + #""exemplars":[{"timeUnixNano":"9","asInt":"-1","spanId":"0102030405060708"}]}]}},"#
            + #"{"summary":{"dataPoints":[{"quantileValues":[{"quantile":0.99}]}]}},"#
            + #"{"sum":{"dataPoints":[{"asInt":"0"}],"isMonotonic":true}}]}]}]}"#
        #expect(otlpJSONText(request, .metrics) == expected)
    }

    /// If it failed, a batch of several requests would not be one object.
    @Test func partsAreOneRequest() {
        let parts = [RequestBuilder.makeLogs(records: 2), [], RequestBuilder.makeLogs(records: 1, seed: 2)]
        var writer = OTLPJSONWriter()
        for _ in 0..<2 {  // A writer is used again.
            writer.text.removeAll()
            writer.begin(.logs)
            for part in parts {
                part.withUnsafeBytes { writer.append(WireBytes($0)) }
            }
            writer.end()
            #expect(
                String(decoding: writer.text.array, as: UTF8.self)
                    == otlpJSONText(parts.flatMap { $0 }, .logs))
        }
    }

    /// If it failed, bytes that were never checked, or checked and hostile, could end the process.
    @Test func deepAndBrokenBytesDoNoHarm() {
        var value: [UInt8] = []
        for _ in 0..<300 { value = message { $0.field(5, message { $0.field(1, value) }) } }
        let request = message {
            $0.message(1) { $0.message(2) { $0.message(2) { $0.field(5, value) } } }
        }
        #expect(otlpJSONText(request, .logs).hasSuffix("]}]}]}"))
        for count in 0..<request.count where count % 7 == 0 {
            #expect(otlpJSONText(Array(request.prefix(count)), .logs).hasPrefix("{"))
        }
    }
}
