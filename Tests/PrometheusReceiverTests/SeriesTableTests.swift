import RegularExpression
import TestSupport
import Testing

@testable import PrometheusReceiver

@Suite struct SeriesTableTests {
    /// Everything that a page of the text format can hold, as the data points that a pipeline gets.
    @Test func pagesBecomePoints() throws {
        let lines = try Target().scrape(
            """
            # HELP requests_total Requests.
            # TYPE requests_total counter
            requests_total{code="200"} 7
            requests_total{code="500"} 1
            # TYPE temp gauge
            temp 21.5
            odd{a="b"} 3
            # TYPE latency histogram
            latency_bucket{le="0.1"} 2
            latency_bucket{le="1"} 5
            latency_bucket{le="+Inf"} 6
            latency_sum 4.5
            latency_count 6
            # TYPE size summary
            size{quantile="0.5"} 10
            size{quantile="0.99"} 90
            size_sum 1000
            size_count 20

            """)
        #expect(
            own(lines) == [
                "requests_total (Requests.) counter{code=200} start 1 at 1 = 7.0",
                "requests_total (Requests.) counter{code=500} start 1 at 1 = 1.0",
                "temp gauge at 1 = 21.5", "odd gauge{a=b} at 1 = 3.0",
                "latency histogram start 1 at 1 count 6 sum 4.5 buckets [2, 3, 1] bounds [0.1, 1.0]",
                "size summary start 1 at 1 count 20 sum 1000.0 q:0.5:10.0 q:0.99:90.0",
            ])
        #expect(
            lines.filter { !own(lines).contains($0) } == [
                "resource {service.name=app,service.instance.id=host:80,server.address=host,server.port=80,url.scheme=http}",
                "scope test 1", "up (The scraping was successful) gauge at 1 = 1.0",
                "scrape_duration_seconds (Duration of the scrape) [s] gauge at 1 = 0.5",
                "scrape_samples_scraped (The number of samples the target exposed) gauge at 1 = 13.0",
                "scrape_samples_post_metric_relabeling (The number of samples remaining after metric relabeling was"
                    + " applied) gauge at 1 = 13.0",
                "scrape_series_added (The approximate number of new series in this scrape) gauge at 1 = 13.0",
            ])
    }

    /// A rate over a restart must neither go negative nor lose what was counted before it.
    @Test func startsAndResets() throws {
        let target = Target()
        let page = { (value: Int) in "# TYPE a counter\na \(value)\n" }
        #expect(own(try target.scrape(page(5))) == ["a counter start 1 at 1 = 5.0"])
        #expect(own(try target.scrape(page(9))) == ["a counter start 1 at 2 = 9.0"])
        #expect(own(try target.scrape(page(2))) == ["a counter start 3 at 3 = 2.0"])
        #expect(own(try target.scrape(page(2))) == ["a counter start 3 at 4 = 2.0"])
    }

    /// A target that is down for a moment goes on counting where it was.
    @Test func startsSurviveAnOutage() throws {
        let target = Target()
        _ = try target.scrape("# TYPE a counter\na 5\n")
        #expect(own(try target.scrape(nil)) == ["a counter start 1 at 2 STALE"])
        #expect(own(try target.scrape(nil)) == [])
        #expect(own(try target.scrape("# TYPE a counter\na 6\n")) == ["a counter start 1 at 4 = 6.0"])
    }

    /// A resource with one key twice is refused by backends, with everybody's data in the request.
    @Test func targetInfoSpeaksForTheTarget() throws {
        let page = """
            target_info{"service.name"="shop","service.instance.id"="pod-7","url.scheme"="https",host_name="h"} 1
            otel_scope_info{otel_scope_name="lib",team="a",zone="eu"} 1
            a{otel_scope_name="lib",otel_scope_team="b",otel_scope_="c"} 1

            """
        let lines = try Target().scrape(page)
        #expect(
            lines.contains(
                "resource {server.address=host,server.port=80,host_name=h,service.instance.id=pod-7,service.name=shop,"
                    + "url.scheme=https}"))
        #expect(lines.contains("scope lib{team=a,zone=eu}"))
        #expect(lines.contains { $0.hasPrefix("a gauge{otel_scope_=c}") })
    }

    /// Buckets may come in any order, and one bound may be written twice: a point has each once, sorted.
    @Test func bucketsInAnyOrder() throws {
        let target = Target()
        let page = { (bounds: [String]) in
            let buckets = bounds.map { "h_bucket{le=\"\($0)\"} \($0.hasSuffix("Inf") ? "9" : $0)\n" }
            return "# TYPE h histogram\n" + buckets.joined() + "h_count 9\n"
        }
        let sorted = "h histogram start 1 at 1 count 9 buckets [1, 1, 1, 6] bounds [1.0, 2.0, 3.0]"
        #expect(own(try target.scrape(page(["3", "2", "1.0", "1", "+Inf"]))) == [sorted])
        let more = "h histogram start 1 at 2 count 9 buckets [1, 1, 2, 5] bounds [1.0, 2.0, 4.0]"
        #expect(own(try target.scrape(page(["4", "2", "1", "+Inf"]))) == [more])
    }

    /// Series of one job, instance or scope are found by it, so that a page with many of them costs no more than others.
    @Test func manyScopesAndJobs() throws {
        let target = Target { $0.honorsLabels = true }
        let page = (0..<3000).map { "a{job=\"j\($0)\",otel_scope_name=\"s\($0)\"} 1\n" }.joined()
        for _ in 0..<2 {
            let lines = try target.scrape(page)
            #expect(lines.filter { $0.hasPrefix("resource") }.count == 3001)
            #expect(own(lines).count == 3000)
        }
        _ = try target.scrape("")
        #expect(target.table.resources.count == 1)
    }

    /// Without staleness a dashboard shows a dead pod's last value for five minutes.
    @Test func vanishedSeriesGoStale() throws {
        let target = Target()
        _ = try target.scrape("a{x=\"1\"} 1\na{x=\"2\"} 2\n")
        #expect(
            own(try target.scrape("a{x=\"2\"} 2\n")) == [
                "a gauge{x=1} at 2 STALE", "a gauge{x=2} at 2 = 2.0",
            ])
        #expect(own(try target.scrape("a{x=\"2\"} 2\n")) == ["a gauge{x=2} at 3 = 2.0"])
        #expect(
            own(try target.scrape("a{x=\"1\"} 3\n")) == [
                "a gauge{x=2} at 4 STALE", "a gauge{x=1} at 4 = 3.0",
            ])
        #expect(target.table.seriesCount == 1)
        #expect(try target.leave().filter { $0.hasSuffix("STALE") }.count == 6)
    }

    /// A word about a vanished series that the pipelines refused is said again.
    @Test func refusedStalenessIsRepeated() throws {
        let target = Target()
        _ = try target.scrape("a 1\nb 1\n")
        #expect(own(try target.scrape("b 1\n", accepted: false)).first == "a gauge at 2 STALE")
        #expect(own(try target.scrape("b 1\n")).first == "a gauge at 3 STALE")
        #expect(own(try target.scrape("b 1\n")) == ["b gauge at 4 = 1.0"])
    }

    @Test func openMetricsCreatedAndExemplars() throws {
        let lines = try Target().scrape(
            """
            # TYPE http_seconds histogram
            # UNIT http_seconds seconds
            http_seconds_bucket{le="1.0"} 1 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736",span_id="00f067aa0ba902b7",x="y"} 0.5 9
            http_seconds_bucket{le="+Inf"} 1
            http_seconds_count 1
            http_seconds_created 500
            # TYPE hits counter
            hits_total 4
            hits_created 600
            # TYPE build info
            build_info{v="1"} 1
            # TYPE state stateset
            state{state="on"} 1
            # TYPE gh gaugehistogram
            gh_bucket{le="+Inf"} 1
            gh_gcount 1
            gh_gsum 1
            # EOF

            """, as: .openMetrics)
        #expect(
            own(lines) == [
                "http_seconds [s] histogram start 500 at 1 count 1 buckets [1, 0] bounds [1.0] exemplar 0.5 id8 id16 x",
                "hits_total counter start 600 at 1 = 4.0", "build_info sum{v=1} at 1 = 1.0",
                "state sum{state=on} at 1 = 1.0",
            ])
    }

    @Test func nativeHistogramsBecomeExponential() throws {
        let target = Target()
        let lines = try target.scrape { () throws(PageError) in
            do { try parseProtobuf(nativeFamily(), into: target.table) } catch {
                throw .truncated("\(error)")
            }
        }
        #expect(
            own(lines) == [
                "rpc_seconds exponential{method=get} start 1600000000 at 1 count 12 sum 18.4 scale 3 zero 2"
                    + " +-2[2, 1, 0, 0, 4, 2] --1[1] field 14"
            ])
    }

    /// Prometheus' own mark for "no value any more" is no value, and the series can come back.
    @Test func staleMarkersEndASeries() throws {
        let target = Target()
        func scrape(_ bits: UInt64) throws -> [String] {
            let page = family {
                $0.text(1, "a")
                $0.integer(3, 1)
                $0.message(4) { $0.message(2) { $0.fixed64(1, bits) } }
            }
            return own(
                try target.scrape { () throws(PageError) in
                    do { try parseProtobuf(page, into: target.table) } catch { throw .truncated("\(error)") }
                })
        }
        #expect(try scrape(2.0.bitPattern) == ["a gauge at 1 = 2.0"])
        #expect(try scrape(0x7ff0_0000_0000_0002) == ["a gauge at 2 STALE"])
        #expect(try scrape(0x7ff0_0000_0000_0002) == [])
        #expect(try scrape(3.0.bitPattern) == ["a gauge at 4 = 3.0"])
    }

    /// What a histogram is without its count nobody can know.
    @Test func incompleteHistogramsAreDroppedAndCounted() throws {
        let target = Target()
        let page = "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_sum 3\n"
        #expect(own(try target.scrape(page)) == [])
        #expect(target.table.counts.unsupported == 1)
        #expect(
            own(try target.scrape(page + "a_count 2\n"))
                == ["a histogram start 2 at 2 count 2 sum 3.0 buckets [2, 0] bounds [1.0]"])
        #expect(
            own(try target.scrape("# TYPE a histogram\na_count 2\n"))
                == ["a histogram start 2 at 3 count 2 buckets [2]"])
    }

    /// A type that changes makes another metric; the old one must not stay.
    @Test func typesMayChange() throws {
        let target = Target()
        _ = try target.scrape("# TYPE a gauge\na 1\n")
        #expect(
            own(try target.scrape("# TYPE a counter\na 1\n")) == [
                "a gauge at 2 STALE", "a counter start 2 at 2 = 1.0",
            ])
        _ = try target.scrape("b_sum 1\nb_count 1\n")
        #expect(
            own(try target.scrape("# TYPE b summary\nb_sum 1\nb_count 1\n")).contains(
                "b summary start 4 at 4 count 1 sum 1.0"))
    }

    @Test func labelsOfTheTargetWinUnlessHonoured() throws {
        let page = "a{job=\"x\",instance=\"\",env=\"dev\"} 1\n"
        let plain = try Target { $0.targetLabels["env"] = "prod" }.scrape(page)
        #expect(own(plain) == ["a gauge{env=prod,exported_env=dev,exported_job=x} at 1 = 1.0"])
        let honoured = try Target {
            $0.targetLabels["env"] = "prod"
            $0.honorsLabels = true
        }.scrape(page)
        #expect(own(honoured) == ["a gauge{env=dev} at 1 = 1.0"])
        #expect(honoured.contains { $0.hasPrefix("resource {service.name=x,service.instance.id=host:80") })
    }

    @Test func targetInfoDescribesTheResource() throws {
        let target = Target()
        let page = """
            # TYPE target_info gauge
            target_info{service_version="1.2",host="h"} 1
            otel_scope_info{otel_scope_name="lib",otel_scope_version="3",kind="x"} 1
            a{otel_scope_name="lib",otel_scope_version="3",otel_scope_extra="e",b="c"} 1

            """
        let lines = try target.scrape(page)
        #expect(lines.contains { $0.hasSuffix("url.scheme=http,host=h,service_version=1.2}") })
        #expect(lines.contains("scope lib 3{extra=e,kind=x}"))
        #expect(own(lines) == ["a gauge{b=c} at 1 = 1.0"])
        #expect(try target.scrape("a 1\n").contains { $0.hasSuffix("url.scheme=http}") })
    }

    @Test func timestampsAreHonoured() throws {
        let target = Target()
        #expect(own(try target.scrape("a 1 77000\n")) == ["a gauge at 77 = 1.0"])
        // A series with times of its own says itself when it ends.
        #expect(own(try target.scrape("b 1\n")) == ["b gauge at 2 = 1.0"])
        #expect(
            own(try Target { $0.honorsTimestamps = false }.scrape("a 1 77000\n")) == ["a gauge at 1 = 1.0"])
        let tracking = Target { $0.tracksTimestampsStaleness = true }
        _ = try tracking.scrape("a 1 77000\n")
        #expect(own(try tracking.scrape("")) == ["a gauge at 2 STALE"])
    }

    @Test func metricsAreRelabelled() throws {
        let target = Target {
            $0.relabelling = [
                rule(.drop, ["__name__"], regex: "go_.*"),
                rule(
                    .replace, ["__name__"], target: "__name__", regex: "old_(.*)", replacement: "new_$1"),
                rule(.labeldrop, regex: "pod"),
            ]
        }
        let page = """
            # TYPE old_h histogram
            old_h_bucket{le="+Inf",pod="p"} 1
            old_h_count{pod="p"} 1
            # TYPE old_c counter
            old_c{pod="p"} 4
            go_x 1

            """
        let expected = [
            "new_h histogram start 1 at 1 count 1 buckets [1]", "new_c counter start 1 at 1 = 4.0",
        ]
        #expect(own(try target.scrape(page)) == expected)
        #expect(target.table.counts.scraped == 4 && target.table.counts.kept == 3)
        #expect(own(try target.scrape(page)).count == 2)
        #expect(target.table.counts.added == 0)
    }

    /// A page over a limit is not taken in part: half a page is a wrong page.
    @Test(arguments: ["sample_limit", "label_limit", "label_name_length_limit", "label_value_length_limit"])
    func limitsRefuseThePage(key: String) throws {
        let target = Target { rules in
            switch key {
            case "sample_limit": rules.sampleLimit = 2
            case "label_limit": rules.labelLimit = 3
            case "label_name_length_limit": rules.labelNameLengthLimit = 8
            default: rules.labelValueLengthLimit = 8
            }
        }
        let page = "a 1\nb 1\nc{a_long_name=\"a long value\"} 1\n"
        target.table.begin()
        #expect {
            try parse(page, into: target.table)
        } throws: { error in
            guard case .limit(let found, _, _) = error as? PageError else { return false }
            return found == key
        }
        #expect(own(try target.scrape(page)) == [])
        #expect(own(try target.scrape("a 1\n")).count == 1)
    }

    @Test func duplicatesAreCountedAndTheFirstKept() throws {
        let target = Target()
        #expect(
            own(try target.scrape("a{x=\"1\",y=\"2\"} 1\na{x=\"1\",y=\"2\"} 2\na{y=\"2\",x=\"1\"} 3\n"))
                == ["a gauge{x=1,y=2} at 1 = 1.0"])
        #expect(target.table.counts.duplicates == 2)
    }

    /// Names that come and go with every page, and pages that fail, must not gather.
    @Test func memoryStaysBounded() throws {
        let target = Target { $0.sampleLimit = 3000 }
        for round in 0..<20 {
            let page = (0..<2000).map { "m_\(round)_\($0) 1\n" }.joined()
            _ = try target.scrape(page + (round % 2 == 0 ? "" : "broken"))
        }
        #expect(target.table.seriesCount <= 4000)
        #expect(target.table.resources.flatMap { $0.scopes }.flatMap { $0.streams }.count <= 4100)
    }

    /// A large target must not become one large request.
    @Test func requestsAreBounded() throws {
        let target = Target()
        target.table.begin()
        try parse((0..<20_000).map { "a{n=\"\($0)\"} \($0)\n" }.joined(), into: target.table)
        target.table.end(succeeded: true, report: [1, 0, 0, 0, 0], at: 1)
        var items: [Int] = []
        var values = 0
        target.encoder.encode(target.table, at: 1) { bytes, count in
            items.append(count)
            values += describe(bytes).filter { $0.hasPrefix("a gauge") }.count
        }
        #expect(items.reduce(0, +) == 20_005 && items.count == 3)
        #expect(values == 20_000)
    }

    @Test func suffixesAreTrimmedOnRequest() throws {
        let target = Target { $0.trimsSuffixes = true }
        let page = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 1\n# EOF\n"
        #expect(own(try target.scrape(page, as: .openMetrics)) == ["a [s] counter start 1 at 1 = 1.0"])
    }
}
