import HTTP
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import Kubernetes
@testable import PrometheusReceiver

/// Labels that the relabelling of everybody's cluster is written against: without one of them targets are not found.
@Suite("Nodes, services and endpoints")
struct ClusterObjectTests {
    private static let prefix = "__meta_kubernetes_"

    private static func read<Object: KubernetesObject>(_: Object.Type, _ json: String) throws -> Object {
        let list = try KubernetesPage<Object>(
            ByteBuffer(string: #"{"metadata":{"resourceVersion":"1"},"items":[\#(json)]}"#))
        return try #require(list.objects.first)
    }

    private static func labels(_ set: LabelSet) -> [String: String] {
        Dictionary(
            set.labels.map { ($0.name.replacing(prefix, with: ""), $0.value) },
            uniquingKeysWith: { a, _ in a })
    }

    @Test("a node is its kubelet")
    func nodes() throws {
        let node = try Self.read(
            Node.self,
            #"""
            {"metadata":{"name":"n1","labels":{"topology.kubernetes.io/zone":"a"},"annotations":{"x":"y"}},
            "spec":{"providerID":"aws:///i-1","podCIDR":"10.0.0.0/24"},
            "status":{"addresses":[{"type":"Hostname","address":"n1.local"},{"type":"InternalIP","address":"10.0.0.1"}],
            "daemonEndpoints":{"kubeletEndpoint":{"Port":10250}},"capacity":{"cpu":"4"}}}
            """#)
        let group = node.group
        #expect(group.source == "node/n1")
        #expect(
            Self.labels(group.labels) == [
                "node_name": "n1", "node_provider_id": "aws:///i-1",
                "node_label_topology_kubernetes_io_zone": "a",
                "node_labelpresent_topology_kubernetes_io_zone": "true", "node_annotation_x": "y",
                "node_annotationpresent_x": "true",
            ])
        #expect(
            group.targets.map(Self.labels) == [
                [
                    "__address__": "10.0.0.1:10250", "instance": "n1", "node_address_Hostname": "n1.local",
                    "node_address_InternalIP": "10.0.0.1",
                ]
            ])
        #expect(try Self.read(Node.self, #"{"metadata":{"name":"n2"}}"#).group.targets == [])
    }

    private static let service = #"""
        {"metadata":{"name":"web","namespace":"shop","labels":{"app":"w"},"annotations":{"prometheus.io/scrape":"true"}},
        "spec":{"type":"ClusterIP","clusterIP":"10.3.0.1","ports":[{"name":"http","port":80,"protocol":"TCP"}]}}
        """#

    @Test("a service is a target for each port")
    func services() throws {
        let group = try Self.read(Service.self, Self.service).group
        #expect(group.source == "svc/shop/web")
        #expect(Self.labels(group.labels)["service_annotation_prometheus_io_scrape"] == "true")
        #expect(Self.labels(group.labels)["namespace"] == "shop")
        #expect(
            group.targets.map(Self.labels) == [
                [
                    "__address__": "web.shop.svc:80", "service_port_name": "http",
                    "service_port_number": "80",
                    "service_port_protocol": "TCP", "service_type": "ClusterIP",
                    "service_cluster_ip": "10.3.0.1",
                ]
            ])
    }

    @Test(
        "endpoints have the labels of their service, pod and container, and the pod's other ports are targets, too"
    )
    func endpoints() throws {
        let service = try Self.read(Service.self, Self.service)
        let pod = try Self.read(Pod.self, PodTests.pod)
        let object = try Self.read(
            ServiceEndpoints.self,
            #"""
            {"metadata":{"name":"web","namespace":"shop","labels":{"app":"w"}},"subsets":[{
            "addresses":[{"ip":"10.1.2.3","nodeName":"n1","targetRef":{"kind":"Pod","name":"web-1","namespace":"shop"}}],
            "notReadyAddresses":[{"ip":"fd00::1","hostname":"h"}],
            "ports":[{"name":"http","port":8080,"protocol":"TCP"}]}]}
            """#)
        let group = object.group(isSlice: false, service: service) { $0 == "web-1" ? pod : nil }
        #expect(group.source == "endpoints/shop/web")
        let common = Self.labels(group.labels)
        #expect(common["endpoints_name"] == "web" && common["endpoints_label_app"] == "w")
        #expect(
            common["service_name"] == "web" && common["service_annotation_prometheus_io_scrape"] == "true")
        #expect(
            group.targets.map { $0[Label.address] } == ["10.1.2.3:8080", "[fd00::1]:8080", "10.1.2.3:9090"])
        let first = Self.labels(group.targets[0])
        #expect(first["endpoint_ready"] == "true" && first["endpoint_port_name"] == "http")
        #expect(first["endpoint_address_target_kind"] == "Pod" && first["endpoint_node_name"] == "n1")
        #expect(first["pod_name"] == "web-1" && first["pod_container_name"] == "app")
        #expect(first["pod_annotation_prometheus_io_scrape"] == "true")
        let second = Self.labels(group.targets[1])
        #expect(
            second["endpoint_ready"] == "false" && second["pod_name"] == nil
                && second["endpoint_hostname"] == "h")
        #expect(Self.labels(group.targets[2])["pod_container_port_number"] == "9090")
        #expect(Self.labels(group.targets[2])["pod_name"] == "web-1")
    }

    @Test("a slice has what it says of its endpoints")
    func slices() throws {
        let object = try Self.read(
            ServiceEndpoints.self,
            #"""
            {"metadata":{"name":"web-x7","namespace":"shop","labels":{"kubernetes.io/service-name":"web"}},
            "addressType":"IPv4","endpoints":[{"addresses":["10.1.2.3"],"hostname":"h","nodeName":"n1","zone":"a",
            "conditions":{"ready":true,"serving":true,"terminating":null},"targetRef":{"kind":"Pod","name":"web-1"}}],
            "ports":[{"name":"http","port":8080,"protocol":"TCP","appProtocol":"h2c"}]}
            """#)
        #expect(object.service == "web")
        let group = object.group(isSlice: true, service: nil) { _ in nil }
        #expect(group.source == "endpointslice/shop/web-x7")
        #expect(Self.labels(group.labels)["endpointslice_address_type"] == "IPv4")
        #expect(
            group.targets.map(Self.labels) == [
                [
                    "__address__": "10.1.2.3:8080", "endpointslice_port_name": "http",
                    "endpointslice_port": "8080",
                    "endpointslice_port_protocol": "TCP", "endpointslice_port_app_protocol": "h2c",
                    "endpointslice_address_target_kind": "Pod", "endpointslice_address_target_name": "web-1",
                    "endpointslice_endpoint_node_name": "n1", "endpointslice_endpoint_hostname": "h",
                    "endpointslice_endpoint_zone": "a", "endpointslice_endpoint_conditions_ready": "true",
                    "endpointslice_endpoint_conditions_serving": "true",
                ]
            ])
    }

    /// What a server was asked, and what the discovery said last.
    private static func discover(
        _ role: KubernetesConfig.Role, _ answers: [String: String], events: [String: String] = [:],
        until isDone: @escaping @Sendable ([TargetGroup]) -> Bool
    ) async throws -> [TargetGroup] {
        let server = try await StandInServer { request in
            let path = String(request.target.prefix { $0 != "?" })
            if request.target.contains("watch=1") { return .init(events[path] ?? "", isEndless: true) }
            guard let items = answers[path] else { return .init("", status: 404) }
            return .init(#"{"metadata":{"resourceVersion":"5"},"items":[\#(items)]}"#)
        }
        var config = KubernetesConfig(server: try HTTPURL(server.url))
        config.role = role
        let cluster = try KubernetesCluster.find(config, job: "j")
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let found = Noted<[TargetGroup]>([])
        let discovery = try await loop.submit {
            let discovery = try #require(
                cluster.discoveries(eventLoop: loop, logger: makeSilentLogger()).first)
            discovery.start { groups in found.change { $0 = groups } }
            return NIOLoopBound(discovery, eventLoop: loop)
        }.get()
        while !isDone(found.value) { try await Task.sleep(for: .milliseconds(5)) }
        try await loop.submit { discovery.value.stop() }.get()
        try await server.close()
        return found.value
    }

    @Test("nodes are asked for in the whole cluster")
    func watchesNodes() async throws {
        let node =
            #"{"metadata":{"name":"n"},"status":{"addresses":[{"type":"InternalIP","address":"10.0.0.1"}]}}"#
        let groups = try await Self.discover(.node, ["/api/v1/nodes": node]) { !$0.isEmpty }
        #expect(groups.map(\.source) == ["node/n"])
    }

    @Test("endpoints are told when services and pods are known, and again when a service changes")
    func watchesEndpoints() async throws {
        let object = #"""
            {"metadata":{"name":"web","namespace":"shop"},"subsets":[{"addresses":[{"ip":"10.1.2.3",
            "targetRef":{"kind":"Pod","name":"web-1"}}],"ports":[{"port":8080}]}]}
            """#
        let changed = Self.service.replacing("\n", with: "").replacing(#""app":"w""#, with: #""app":"new""#)
        let groups = try await Self.discover(
            .endpoints,
            ["/api/v1/endpoints": object, "/api/v1/services": Self.service, "/api/v1/pods": PodTests.pod],
            events: ["/api/v1/services": #"{"type":"MODIFIED","object":\#(changed)}"# + "\n"]
        ) { $0.first.map { $0.labels[Self.prefix + "service_label_app"] } == "new" }
        #expect(groups.count == 1 && groups[0].source == "endpoints/shop/web")
        #expect(Self.labels(groups[0].targets[0])["pod_container_name"] == "app")
    }

    @Test("slices are asked for where they are")
    func watchesSlices() async throws {
        let slice =
            #"{"metadata":{"name":"s","namespace":"shop"},"endpoints":[{"addresses":["10.0.0.9"]}],"ports":[{"port":1}]}"#
        let groups = try await Self.discover(
            .endpointslice,
            [
                "/apis/discovery.k8s.io/v1/endpointslices": slice, "/api/v1/services": "", "/api/v1/pods": "",
            ]
        ) { !$0.isEmpty }
        #expect(groups[0].targets.map { $0[Label.address] } == ["10.0.0.9:1"])
    }
}
