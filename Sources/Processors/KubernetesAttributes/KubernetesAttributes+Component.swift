package import Pipeline

extension ComponentType {
    /// `k8s_attributes`.
    package static let kubernetesAttributes = processor(
        "k8s_attributes", aliases: [.init("k8sattributes", deprecation: "write k8s_attributes instead")],
        KubernetesAttributesConfig.self
    ) { config, context, next in
        let informer = try context.shared { try KubernetesInformer(config, context) }
        return EditingProcessor(KubernetesTransform(config, informer.index, context), context, next: next)
    }
}
