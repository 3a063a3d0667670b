package import Pipeline

extension ComponentType {
    /// `k8s_attributes`.
    package static let kubernetesAttributes = processor(
        "k8s_attributes", aliases: [.init("k8sattributes", deprecation: "k8s_attributes")],
        KubernetesAttributesConfig.self
    ) { config, context, next in
        let informer = try context.shared { try KubernetesInformer(config, context) }
        return EditingProcessor(KubernetesTransform(config, informer.index, context), context, next: next)
    }
}
