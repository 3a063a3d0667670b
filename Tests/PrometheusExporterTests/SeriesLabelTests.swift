import OTLP
import TestSupport
import Testing

@testable import PrometheusExporter

@Suite("Labels of series")
struct SeriesLabelTests {
    private let resource = [
        ("service.name", "checkout"), ("service.namespace", "shop"), ("service.instance.id", "i-1"),
        ("host.name", "h1"), ("k8s.pod.name", "p\"1"),
    ]

    @Test("Attributes, scope, job and instance are labels, and target_info carries the rest of the resource")
    func all() {
        let under = StoreUnderTest(constLabels: [Label(name: "zone", value: Array("eu".utf8))])
        under.take(
            request(
                [counter("hits", point(1, [("http.route", "/a"), ("b", "x\\y\n\"z")]))], resource: resource,
                scope: "meter", version: "1.2", scopeAttributes: [("team", "a")], schemaURL: "http://s"))
        #expect(
            under.text() == """
                # TYPE hits_total counter
                hits_total{b="x\\\\y\\n\\"z",http_route="/a",instance="i-1",job="shop/checkout",otel_scope_name="meter",\
                otel_scope_schema_url="http://s",otel_scope_team="a",otel_scope_version="1.2",zone="eu"} 1
                # HELP target_info Target metadata
                # TYPE target_info gauge
                target_info{host_name="h1",instance="i-1",job="shop/checkout",k8s_pod_name="p\\"1"} 1

                """)
    }

    @Test("without_scope_info leaves the scope's labels out, and series of two scopes become one")
    func withoutScope() {
        let under = StoreUnderTest(withoutScopeInfo: true)
        under.take(request([counter("a", point(1)), gauge("g", point(1, time: 11))], scope: "one"))
        under.take(request([counter("a", point(2)), gauge("g", point(2, time: 10))], scope: "two"))
        #expect(under.samples() == ["a_total 3", "g 1"])
        #expect(under.store.takeEvents().merged == 2)
    }

    @Test("Chosen attributes of the resource become labels of its series")
    func resourceLabels() {
        var chosen = ResourceLabels()
        chosen.included = ["k8s.*", "service.name"]
        let under = StoreUnderTest(resourceLabels: chosen)
        under.take(request([gauge("a", point(1))], resource: resource))
        #expect(
            under.samples().first
                == "a{instance=\"i-1\",job=\"shop/checkout\",k8s_pod_name=\"p\\\"1\",service_name=\"checkout\"} 1"
        )
    }

    @Test(
        "Keys that become one label are joined in their order: no sample is lost and no label is there twice")
    func joined() {
        let under = StoreUnderTest()
        under.take(
            request(
                [gauge("a", point(1, [("x_y", "3"), ("x.y", "1"), ("x/y", "2"), ("job", "own")]))],
                resource: [("service.name", "svc")]))
        #expect(under.samples() == ["a{exported_job=\"own\",x_y=\"1;2;3\",job=\"svc\"} 1"])
    }

    @Test("Labels without a value are none to Prometheus, so they must not make another series")
    func empty() {
        let under = StoreUnderTest()
        under.take(gauge("a", point(1, [("x", "")], time: 10)))
        under.take(gauge("a", point(2, [], time: 11)))
        #expect(under.samples() == ["a 2"])
    }

    @Test("The order of attributes does not matter, and is looked up quickly from the second time on")
    func orders() {
        let under = StoreUnderTest()
        under.take(counter("a", point(1, [("x", "1"), ("y", "2")], time: 10)))
        under.take(counter("a", point(2, [("y", "2"), ("x", "1")], time: 11)))
        under.take(counter("a", point(3, [("y", "2"), ("x", "1")], time: 12)))
        #expect(under.samples() == ["a_total{x=\"1\",y=\"2\"} 3"])
        #expect(under.store.aliases.count == 2)
        #expect(under.store.moreAliases.count == 1)
        under.take(counter("a", point(nil, [("y", "2"), ("x", "1")], flags: 1)))
        #expect(under.store.aliases.count == 0)
        #expect(under.store.moreAliases.isEmpty)
    }

    @Test("A sender that invents orders of attributes does not make the tables grow")
    func manyOrders() {
        let under = StoreUnderTest()
        var keys = (0..<7).map { "k\($0)" }
        var random = SeededRandom(seed: 1)
        for time in 0..<500 {
            keys.shuffle(using: &random)
            under.take(
                counter("a", point(.int(Int64(time)), keys.map { ($0, "v") }, time: UInt64(10 + time))))
        }
        #expect(under.store.slab.count == 1)
        #expect(under.store.aliases.count <= 1 + SeriesStore.moreAliasesMax)
        #expect(under.samples().first?.hasSuffix("} 499") == true)
    }

    @Test(
        "Counters and histograms of names that become one are added; a scrape with a series twice would fail")
    func merged() {
        let under = StoreUnderTest()
        under.take(
            counter("a.b", point(1, start: 5)), counter("a_b", point(2, start: 3)),
            gauge("g.x", point(1, time: 10)), gauge("g_x", point(7, time: 9)),
            histogram("h.x", histogramPoint([1, 2], [1], sum: 3)),
            histogram("h_x", histogramPoint([10, 20], [1], sum: 30)))
        #expect(
            under.samples() == [
                "a_b_total 3", "g_x 1", "h_x_bucket{le=\"1\"} 11", "h_x_bucket{le=\"+Inf\"} 33", "h_x_sum 33",
                "h_x_count 33",
            ])
        let events = under.store.takeEvents()
        #expect(events.merged == 3)
        #expect(events.notices.count == 3)
        under.take(counter("a.b", point(nil, flags: 1)))
        #expect(under.samples().first == "a_b_total 2")
        under.take(counter("a_b", point(nil, flags: 1)))
        #expect(under.samples().first == "g_x 1")
    }

    @Test("A restarted pod of the same job and instance goes on as the same series")
    func sameTarget() {
        let under = StoreUnderTest()
        let target = [("service.name", "svc"), ("service.instance.id", "i")]
        under.take(request([counter("a", point(100, time: 10))], resource: target + [("pod", "1")]))
        under.take(request([counter("a", point(3, time: 20))], resource: target + [("pod", "2")]))
        #expect(
            under.samples() == [
                "a_total{instance=\"i\",job=\"svc\"} 3",
                "target_info{instance=\"i\",job=\"svc\",pod=\"2\"} 1",
            ])
    }

    @Test(
        "There is one target_info a job and instance, as long as it has series, and none without one of them")
    func targetInfo() {
        let under = StoreUnderTest(namespace: "ns")
        let target = [("service.name", "svc"), ("service.instance.id", "i"), ("pod", "1")]
        under.take(request([gauge("a", point(1))], resource: target, scope: "one"))
        under.take(request([gauge("a", point(1))], resource: target, scope: "two"))
        under.take(request([gauge("b", point(1))], resource: [("service.name", "bare")]))
        under.take(request([gauge("b", point(1))], resource: [("pod", "3")]))
        under.take(request([gauge("b", point(1))], resource: [("service.instance.id", "j"), ("pod", "3")]))
        #expect(
            under.samples().filter { $0.contains("target_info") } == [
                "ns_target_info{instance=\"i\",job=\"svc\",pod=\"1\"} 1"
            ])
        under.take(request([gauge("a", point(nil, flags: 1))], resource: target, scope: "one"))
        #expect(under.samples().filter { $0.contains("target_info") }.count == 1)
        under.take(request([gauge("a", point(nil, flags: 1))], resource: target, scope: "two"))
        #expect(under.samples().filter { $0.contains("target_info") }.isEmpty)
        #expect(under.store.contexts.count == 3)
    }

    @Test("A resource's own job and instance give way to who sends, or target_info would join with no series")
    func ownJobOfTheResource() {
        var all = ResourceLabels()
        all.included = ["*"]
        let resource = [
            ("service.name", "svc"), ("service.instance.id", "i"), ("job", "scraped"), ("instance", "h:80"),
        ]
        let plain = StoreUnderTest()
        plain.take(request([gauge("a", point(1))], resource: resource))
        #expect(
            plain.samples() == [
                "a{instance=\"i\",job=\"svc\"} 1", "target_info{instance=\"i\",job=\"svc\"} 1",
            ])
        let converted = StoreUnderTest(resourceLabels: all)
        converted.take(request([gauge("a", point(1))], resource: resource))
        #expect(
            converted.samples().first
                == "a{instance=\"i\",job=\"svc\",service_instance_id=\"i\",service_name=\"svc\"} 1")
        converted.take(request([gauge("b", point(1))], resource: [("job", "alone")]))
        #expect(converted.samples().contains("b{job=\"alone\"} 1"))
    }

    @Test("An attribute of a point gives way to the resource's of the same key, once that is a label")
    func convertedKeys() {
        var all = ResourceLabels()
        all.included = ["region"]
        let under = StoreUnderTest(resourceLabels: all)
        under.take(
            request([gauge("a", point(1, [("region", "point"), ("x", "y")]))], resource: [("region", "eu")]))
        #expect(under.samples() == ["a{x=\"y\",region=\"eu\"} 1"])
    }

    @Test("A metric that is called target_info does not break the page")
    func ownTargetInfo() {
        let under = StoreUnderTest()
        let target = [("service.name", "svc"), ("service.instance.id", "i"), ("pod", "1")]
        under.take(request([counter("target_info", 1, point(4))], resource: target))
        under.take(request([gauge("target_info", point(4, [("x", "y")]))], resource: target))
        under.take(request([histogram("target_info", histogramPoint([1], []))], resource: target))
        let samples = under.samples()
        #expect(
            samples.filter { $0.hasPrefix("target_info{") && $0.contains("pod") } == [
                "target_info{instance=\"i\",job=\"svc\",pod=\"1\"} 1"
            ])
    }

    @Test("Buckets and quantiles have labels of their own, which attributes must not take")
    func reserved() {
        let under = StoreUnderTest()
        under.take(histogram("h", histogramPoint([1], [], [("le", "x"), ("quantile", "y")])))
        #expect(under.samples().last == "h_count{exported_le=\"x\",exported_quantile=\"y\"} 1")
    }

    /// Prometheus takes nothing of a page on which a label is there twice.
    @Test("A resource's own le stands in no bucket's way")
    func reservedOfResources() {
        var all = ResourceLabels()
        all.included = ["*"]
        let under = StoreUnderTest(resourceLabels: all)
        under.take(request([histogram("h", histogramPoint([1, 1], [1]))], resource: [("le", "x")]))
        #expect(under.samples().first?.contains("{exported_le=\"x\",le=\"1\"}") == true, "\(under.samples())")
    }

    @Test("Series say who sends whatever attributes their points have, so that they join with target_info")
    func identityOfPoints() {
        let under = StoreUnderTest()
        let target = [("service.name", "svc"), ("service.instance.id", "i"), ("pod", "1")]
        under.take(request([gauge("g", point(1, [("job", "own"), ("instance", "mine")]))], resource: target))
        under.take(request([gauge("free", point(2, [("job", "own")]))], resource: []))
        let samples = under.samples()
        #expect(
            samples.contains(
                "g{exported_instance=\"mine\",exported_job=\"own\",instance=\"i\",job=\"svc\"} 1"),
            "\(samples)")
        #expect(samples.contains("free{job=\"own\"} 2"), "\(samples)")
    }

    @Test(
        "UTF-8 names are kept where the strategy allows them, in quotes, and escaped for scrapers that ask so"
    )
    func utf8() {
        let under = StoreUnderTest(strategy: .noTranslation)
        under.take(
            request(
                [gauge("my.metric", help: "H", point(1, [("a.b", "1")])), gauge("plain", point(2))],
                scope: "s"))
        #expect(
            under.text() == """
                # HELP "my.metric" H
                # TYPE "my.metric" gauge
                {"my.metric","a.b"="1",otel_scope_name="s"} 1
                # TYPE plain gauge
                plain{otel_scope_name="s"} 2

                """)
        #expect(
            under.text(escaping: .underscores).contains("\nmy_metric{a_b=\"1\",otel_scope_name=\"s\"} 1\n"))
        #expect(
            under.text(escaping: .values).contains(
                "\nU__my_2e_metric{U__a_2e_b=\"1\",otel_scope_name=\"s\"} 1\n"))
        #expect(
            under.text(escaping: .dots).contains("\nmy_dot_metric{a_dot_b=\"1\",otel_scope_name=\"s\"} 1\n")
        )
    }
}

@Suite("Texts of attribute values")
struct AttributeTextTests {
    private static func value(_ build: (inout ProtoWriter) -> Void) -> [UInt8] {
        var writer = ProtoWriter()
        build(&writer)
        return writer.bytes
    }

    @Test(
        "Values of every kind are the text that the Collector writes",
        arguments: [
            (value { $0.text(1, "as is \"") }, "as is \""),
            (value { $0.integer(2, 1) }, "true"),
            (value { $0.integer(2, 0) }, "false"),
            (value { $0.integer(3, UInt64(bitPattern: -7)) }, "-7"),
            (value { $0.double(4, 1.5) }, "1.5"),
            (value { $0.double(4, -2) }, "-2"),
            (value { $0.double(4, 1e20) }, "100000000000000000000"),
            (value { $0.double(4, 1.5e21) }, "1.5e+21"),
            (value { $0.double(4, 1.25e-7) }, "1.25e-7"),
            (value { $0.double(4, -0.00001) }, "-0.00001"),
            (value { $0.double(4, .nan) }, "NaN"),
            (value { $0.double(4, -.infinity) }, "-Infinity"),
            (value { $0.field(7, [1, 2, 3, 255]) }, "AQID/w=="),
            (
                value {
                    $0.message(5) {
                        $0.message(1) { $0.text(1, "a\n\u{1}") }
                        $0.message(1) { $0.integer(3, 2) }
                        $0.message(1) { _ in }
                    }
                }, "[\"a\\n\\u0001\",2,null]"
            ),
            (
                value { $0.message(5) { $0.message(1) { $0.text(1, "<a>&\u{8}\u{C}") } } },
                "[\"\\u003ca\\u003e\\u0026\\b\\f\"]"
            ),
            (
                value {
                    $0.message(6) {
                        $0.attribute(1, "z", 1)
                        $0.attribute(1, "a", "x")
                        $0.attribute(1, "z", 2)
                    }
                }, "{\"a\":\"x\",\"z\":2}"
            ),
            (value { _ in }, ""),
        ])
    func texts(message: [UInt8], expected: String) {
        var text: [UInt8] = []
        message.withUnsafeBytes { text.append(AttributeValue(WireBytes($0))) }
        #expect(String(decoding: text, as: UTF8.self) == expected)
    }
}
