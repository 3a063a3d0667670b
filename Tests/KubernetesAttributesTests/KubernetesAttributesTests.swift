import Configuration
import Foundation
import HTTP
import Kubernetes
import NIOCore
import NIOPosix
import OTLP
import Pipeline
import TestSupport
import Testing

@testable import KubernetesAttributes

/// Which pod a resource belongs to, and what is said of it. Wrong, one team's errors are shown as another's.
@Suite("k8s_attributes")
struct KubernetesAttributesTests {
    static func read(_ yaml: String) -> (KubernetesAttributesConfig, Diagnostics) {
        let diagnostics = Diagnostics()
        return (KubernetesAttributesConfig(ConfigSection(yaml: yaml, diagnostics: diagnostics)), diagnostics)
    }

    /// A pod as the API server tells it.
    static func pod(
        _ name: String, uid: String, ip: String = "", more: String = "", spec: String = "",
        started: String = "2024-01-01T00:00:00Z"
    ) -> String {
        """
        {"metadata":{"name":"\(name)","namespace":"shop","uid":"\(uid)","resourceVersion":"7",
         "creationTimestamp":"2024-01-01T00:00:00Z"\(more)},
         "spec":{"nodeName":"n1"\(spec)},"status":{"podIP":"\(ip)","startTime":"\(started)"
         ,"containerStatuses":[{"name":"app","containerID":"containerd://c2","imageID":"docker.io/shop/app@sha256:1f",
         "restartCount":2,"lastState":{"terminated":{"containerID":"containerd://c1"}}}]}}
        """
    }

    static let web = pod(
        "web-5d4f-x", uid: "u1", ip: "10.0.0.1",
        more: """
            ,"labels":{"pod-template-hash":"5d4f","app.kubernetes.io/name":"web-app","tier":"front"},
            "annotations":{"resource.opentelemetry.io/team":"blue","note":"hi"},
            "ownerReferences":[{"kind":"ReplicaSet","name":"web-5d4f","uid":"rs1","controller":true}]
            """,
        spec: #","containers":[{"name":"app","image":"registry:5000/shop/app:1.2@sha256:ab"}]"#)

    /// Makes a transform that knows these objects.
    private func transform(
        _ yaml: String, pods: [String], _ prepare: (PodIndex, Extractor) throws -> Void = { _, _ in }
    )
        throws -> KubernetesTransform
    {
        let (config, diagnostics) = Self.read(yaml)
        #expect(!diagnostics.hasErrors, "\(diagnostics.render())")
        let extractor = try Extractor(config)
        let index = PodIndex()
        for text in pods {
            let pod = try Self.object(text, as: PodObject.self)
            if !extractor.ignores(pod) { _ = index.set(extractor.record(pod)) }
        }
        try prepare(index, extractor)
        let context = ComponentContext.alone(
            .processor, "k8s_attributes", on: MultiThreadedEventLoopGroup.singleton.next())
        return KubernetesTransform(config, index, context)
    }

    static func object<Object: KubernetesObject>(_ text: String, as: Object.Type) throws -> Object {
        try Array(text.utf8).withUnsafeBytes { bytes in
            var reader = try JSONReader(bytes)
            return try Object(&reader)
        }
    }

    /// The resource's attributes after it, as `key=value`, in alphabetical order.
    private func enrich(
        _ transform: KubernetesTransform, _ attributes: [String: String] = [:], client: String? = nil
    ) throws -> [String] {
        let list = attributes.sorted { $0.key < $1.key }.map {
            #"{"key":"\#($0.key)","value":{"stringValue":"\#($0.value)"}}"#
        }.joined(separator: ",")
        let json = #"{"resourceSpans":[{"resource":{"attributes":["# + list + "]}}]}"
        let edited = try EditedRequest(
            json, .traces, transform, client: client.map { ClientAddress(host: $0) }
        ).json
        return edited.matches(
            of:
                /"key":"([^"]*)","value":\{"(?:stringValue":|arrayValue":\{"values":\[\{"stringValue":)"([^"]*)"/
        ).map { "\($0.output.1)=\($0.output.2)" }.sorted()
    }

    // MARK: - Association

    private static let byName = "extract: {metadata: [k8s.pod.name]}"

    @Test("without rules an address leads to the pod, wherever it stands")
    func usualAssociation() throws {
        let transform = try transform(Self.byName, pods: [Self.web])
        #expect(try enrich(transform, client: "10.0.0.1") == ["k8s.pod.name=web-5d4f-x"])
        #expect(
            try enrich(transform, ["k8s.pod.ip": "10.0.0.1"], client: "9.9.9.9").contains(
                "k8s.pod.name=web-5d4f-x"))
        #expect(try enrich(transform, ["ip": "10.0.0.1"]).contains("k8s.pod.name=web-5d4f-x"))
        #expect(try enrich(transform, ["host.name": "10.0.0.1"]).contains("k8s.pod.name=web-5d4f-x"))
        #expect(try enrich(transform, ["host.name": "node-1"]) == ["host.name=node-1"])
        #expect(try enrich(transform, client: "10.9.9.9") == [])
        #expect(try enrich(transform) == [])
    }

    @Test("the first rule whose sources have values is the only one that is tried")
    func rules() throws {
        let yaml = """
            extract: {metadata: [k8s.pod.uid]}
            pod_association:
              - sources: [{from: resource_attribute, name: k8s.pod.name}, {from: resource_attribute, name: k8s.namespace.name}]
              - sources: [{from: resource_attribute, name: container.id}]
              - sources: [{from: connection}]
            """
        let transform = try transform(yaml, pods: [Self.web])
        let named = ["k8s.pod.name": "web-5d4f-x", "k8s.namespace.name": "shop"]
        #expect(try enrich(transform, named).contains("k8s.pod.uid=u1"))
        // Only one of the two sources: the rule is passed over.
        #expect(
            try enrich(transform, ["k8s.pod.name": "web-5d4f-x"], client: "10.0.0.1").contains(
                "k8s.pod.uid=u1"))
        // A complete rule that finds nothing is the end.
        let wrong = ["k8s.pod.name": "other", "k8s.namespace.name": "shop"]
        #expect(try !enrich(transform, wrong, client: "10.0.0.1").contains("k8s.pod.uid=u1"))
        #expect(try enrich(transform, ["container.id": "c2"]).contains("k8s.pod.uid=u1"))
        #expect(try enrich(transform, ["container.id": "c1"]).contains("k8s.pod.uid=u1"))
    }

    @Test("an address that two pods had is the later one's, and pods on the host's network have none")
    func addresses() throws {
        let early = Self.pod("early", uid: "e", ip: "10.0.0.5", started: "2024-01-01T00:00:00Z")
        let late = Self.pod("late", uid: "l", ip: "10.0.0.5", started: "2024-02-01T00:00:00Z")
        for pods in [[early, late], [late, early]] {
            #expect(
                try enrich(transform(Self.byName, pods: pods), client: "10.0.0.5") == ["k8s.pod.name=late"])
        }
        let host = Self.pod("host", uid: "h", ip: "10.0.0.6", spec: #","hostNetwork":true"#)
        let transform = try transform(Self.byName, pods: [host])
        #expect(try enrich(transform, client: "10.0.0.6") == [])
    }

    @Test("passthrough sets the address, and nothing else")
    func passthrough() throws {
        let transform = try transform("passthrough: true", pods: [Self.web])
        #expect(try enrich(transform, client: "10.0.0.1") == ["k8s.pod.ip=10.0.0.1"])
        #expect(
            try enrich(transform, ["k8s.pod.ip": "1.1.1.1"], client: "10.0.0.1") == ["k8s.pod.ip=1.1.1.1"])
    }

    @Test("pods that are excluded, or say so themselves, are left alone")
    func ignored() throws {
        let agent = Self.pod("jaeger-agent-1", uid: "j", ip: "10.0.0.7")
        let shy = Self.pod(
            "shy", uid: "s", ip: "10.0.0.8",
            more: #","annotations":{"opentelemetry.io/k8s-processor/ignore":"true"}"#)
        let transform = try transform(Self.byName, pods: [agent, shy])
        #expect(
            try enrich(transform, client: "10.0.0.7") == [] && enrich(transform, client: "10.0.0.8") == [])
    }

    // MARK: - Extraction

    @Test("the usual attributes are those of the Collector")
    func usual() throws {
        #expect(
            try enrich(transform("", pods: [Self.web]), client: "10.0.0.1") == [
                "container.image.name=registry:5000/shop/app", "container.image.tag=1.2",
                "k8s.deployment.name=web",
                "k8s.namespace.name=shop", "k8s.node.name=n1", "k8s.pod.name=web-5d4f-x",
                "k8s.pod.start_time=2024-01-01T00:00:00Z", "k8s.pod.uid=u1",
            ])
    }

    @Test("what a resource says of itself stays, unless it is empty")
    func keeping() throws {
        let transform = try transform("extract: {metadata: [k8s.pod.name, k8s.node.name]}", pods: [Self.web])
        #expect(
            try enrich(transform, ["k8s.pod.name": "mine", "k8s.node.name": ""], client: "10.0.0.1")
                == ["k8s.node.name=n1", "k8s.pod.name=mine"])
    }

    @Test("the rest of the metadata")
    func metadata() throws {
        let yaml = """
            extract:
              metadata: [k8s.replicaset.name, k8s.replicaset.uid, k8s.pod.ip, k8s.container.name, container.id, container.image.tags,
                container.image.repo_digests, service.name, service.namespace, service.version, service.instance.id]
            """
        #expect(
            try enrich(transform(yaml, pods: [Self.web]), ["k8s.pod.ip": "10.0.0.1"]) == [
                "container.id=c2", "container.image.repo_digests=docker.io/shop/app@sha256:1f",
                "container.image.tags=1.2", "k8s.container.name=app", "k8s.pod.ip=10.0.0.1",
                "k8s.replicaset.name=web-5d4f", "k8s.replicaset.uid=rs1",
                "service.instance.id=shop.web-5d4f-x.app", "service.name=web-app", "service.namespace=shop",
                "service.version=1.2@sha256:ab",
            ])
    }

    @Test("the container and its instance are chosen by what the resource says")
    func containers() throws {
        let two = Self.pod(
            "two", uid: "t", ip: "10.0.0.9",
            spec: #","containers":[{"name":"app","image":"a:1"},{"name":"side","image":"b"}]"#)
        let transform = try transform(
            "extract: {metadata: [container.image.name, container.image.tag, container.id]}", pods: [two])
        #expect(try enrich(transform, client: "10.0.0.9") == [])
        #expect(
            try enrich(transform, ["k8s.container.name": "side"], client: "10.0.0.9")
                == ["container.image.name=b", "container.image.tag=latest", "k8s.container.name=side"])
        #expect(
            try enrich(
                transform, ["k8s.container.name": "app", "k8s.container.restart_count": "1"],
                client: "10.0.0.9"
            )
            .contains("container.id=c1"))
        #expect(
            try enrich(transform, ["container.id": "c1"], client: "10.0.0.9").contains(
                "container.image.name=a"))
    }

    @Test("labels and annotations become attributes by rule")
    func labels() throws {
        let yaml = """
            extract:
              metadata: []
              labels:
                - {key: tier}
                - {tag_name: layer, key: tier}
                - {tag_name: "l.$1", key_regex: "app[.]kubernetes[.]io/(.*)"}
              annotations: [{key_regex: "n.*"}]
              otel_annotations: true
            """
        #expect(
            try enrich(transform(yaml, pods: [Self.web]), client: "10.0.0.1") == [
                "k8s.pod.annotations.note=hi", "k8s.pod.labels.tier=front", "l.name=web-app", "layer=front",
                "team=blue",
            ])
    }

    @Test("namespaces, nodes and owners add theirs, also without a pod")
    func otherObjects() throws {
        let yaml = """
            extract:
              metadata: [k8s.cluster.uid, k8s.node.uid, k8s.deployment.uid]
              labels:
                - {tag_name: ns.team, key: team, from: namespace}
                - {tag_name: deploy.team, key: team, from: deployment}
            """
        func object(_ name: String, _ uid: String, _ more: String = "") throws -> ClusterObject {
            try Self.object(
                #"{"metadata":{"name":"\#(name)","uid":"\#(uid)","labels":{"team":"\#(name)-team"}\#(more)}}"#,
                as: ClusterObject.self)
        }
        let transform = try transform(yaml, pods: [Self.web]) { index, extractor in
            index.setNamespace("shop", extractor.record(try object("shop", "x"), .namespace))
            index.setNamespace(
                "kube-system", extractor.record(try object("kube-system", "cluster"), .namespace))
            index.setNode(
                "n1", extractor.record(try object("n1", "node-uid"), .node, uidName: "k8s.node.uid"))
            let owner = #","ownerReferences":[{"kind":"Deployment","name":"web","uid":"d1"}]"#
            index.setOwner("rs1", extractor.record(try object("web-5d4f", "rs1", owner), nil))
            index.setOwner(
                "d1", extractor.record(try object("web", "d1"), .deployment, uidName: "k8s.deployment.uid"))
        }
        #expect(
            try enrich(transform, client: "10.0.0.1") == [
                "deploy.team=web-team", "k8s.cluster.uid=cluster", "k8s.deployment.uid=d1",
                "k8s.node.uid=node-uid",
                "ns.team=shop-team",
            ])
        #expect(try enrich(transform, ["k8s.namespace.name": "shop"]).contains("ns.team=shop-team"))
        #expect(try enrich(transform, ["k8s.deployment.uid": "d1"]).contains("deploy.team=web-team"))
    }

    @Test("names are taken apart as Kubernetes puts them together")
    func names() {
        #expect(Extractor.cronJob("backup-28391234") == "backup")
        #expect(Extractor.cronJob("backup-2839123") == nil && Extractor.cronJob("-28391234") == nil)
        #expect(
            ImageReference("reg:5000/a/b").tag == "latest"
                && ImageReference("reg:5000/a/b").name == "reg:5000/a/b")
        #expect(ImageReference("a@sha256:1").version == "sha256:1" && ImageReference("a:2").version == "2")
        #expect(ImageReference.repositoryDigest("docker-pullable://a/b@sha256:1") == "a/b@sha256:1")
        #expect(ImageReference.repositoryDigest("sha256:1") == nil)
    }

    // MARK: - Life of the index

    @Test("a deleted pod stays until its time is over, and comes back when it is told of again")
    func leaving() throws {
        let (config, _) = Self.read("")
        let extractor = try Extractor(config)
        let index = PodIndex()
        let record = extractor.record(try Self.object(Self.web, as: PodObject.self))
        #expect(index.set(record) && !index.set(record))
        #expect(index.leave("u1") && index.pod(Identifier.part(.connection, "10.0.0.1")) != nil)
        // A list without it does not end its time, one of another pod without grace does.
        index.keepOnly([])
        #expect(index.tableSize > 0)
        _ = index.set(record)
        index.remove("u1")
        #expect(index.tableSize > 0)
        _ = index.leave("u1")
        index.remove("u1")
        #expect(index.tableSize == 0)
        _ = index.set(record)
        index.keepOnly(["other"])
        #expect(index.tableSize == 0)
    }

    @Test("pods are listed, then watched, with the filter's selectors and the token")
    func watching() async throws {
        let web = Self.web
        let server = try await StandInServer { request in
            if request.target.contains("watch=1") {
                let line =
                    #"{"type":"ADDED","object":\#(Self.pod("new", uid: "n", ip: "10.0.0.2").replacing("\n", with: ""))}"#
                return .init(line + "\n", isEndless: true)
            }
            return .init(#"{"metadata":{"resourceVersion":"5"},"items":[\#(web)]}"#)
        }
        let token = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try "t0ken\n".write(to: token, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: token) }
        let (config, _) = Self.read(
            "{wait_for_metadata: true, filter: {node: n1, namespace: shop, labels: [{key: a, op: exists}]}}")
        let account = KubernetesAccount(
            origin: HTTPOrigin(scheme: .http, host: "127.0.0.1", port: server.port), tokenPath: token.path)
        let informer = try KubernetesInformer(
            config,
            .alone(.processor, "k8s_attributes", on: MultiThreadedEventLoopGroup.singleton.next()),
            account: account)
        try await informer.start()
        #expect(informer.index.pod(Identifier.part(.connection, "10.0.0.1")) != nil)
        while informer.index.pod(Identifier.part(.connection, "10.0.0.2")) == nil { await Task.yield() }
        let first = try #require(server.requests.first)
        #expect(
            first.target
                == "/api/v1/namespaces/shop/pods?limit=100&fieldSelector=spec.nodeName%3Dn1&labelSelector=a")
        #expect(first.headers["authorization"] == "Bearer t0ken")
        _ = await informer.stop(until: .now())
        try await server.close()
    }

    @Test("a start that waits fails when the server forbids")
    func forbidden() async throws {
        let server = try await StandInServer { _ in .init("", status: 403) }
        let (config, _) = Self.read("{wait_for_metadata: true, wait_for_metadata_timeout: 100ms}")
        let informer = try KubernetesInformer(
            config, .alone(.processor, "k8s_attributes", on: MultiThreadedEventLoopGroup.singleton.next()),
            account: KubernetesAccount(
                origin: HTTPOrigin(scheme: .http, host: "127.0.0.1", port: server.port)))
        await #expect(throws: ComponentError.self) { try await informer.start() }
        _ = await informer.stop(until: .now())
        try await server.close()
    }

    @Test(
        "configurations that are not valid are refused",
        arguments: [
            ("extract: {metadata: [k8s.pod.color]}", "\"k8s.pod.color\" is not a supported metadata field"),
            ("extract: {labels: [{key: a, key_regex: b}]}", "only one option is expected"),
            ("extract: {labels: [{key_regex: '('}]}", "error parsing regexp"),
            ("extract: {labels: [{key: a, from: cluster}]}", "unknown value \"cluster\""),
            ("filter: {node_from_env_var: NOT_SET_ANYWHERE}", "envvar \"NOT_SET_ANYWHERE\" is not set"),
            ("filter: {fields: [{key: a, op: exists}]}", "unknown value \"exists\""),
            ("pod_association: [{sources: [{from: header}]}]", "unknown source \"header\""),
            ("pod_association: [{sources: [{from: resource_attribute}]}]", "needs the \"name\""),
            ("exclude: {pods: [{name: '('}]}", "error parsing regexp"),
            ("auth_type: kubeConfig", "not supported yet"),
        ])
    func refused(yaml: String, expected: String) {
        #expect(Self.read(yaml).1.render().contains(expected), "\(Self.read(yaml).1.render())")
    }
}
