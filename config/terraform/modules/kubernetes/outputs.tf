output "namespace" {
  description = "The namespace that was made."
  value       = kubernetes_namespace_v1.platform.metadata[0].name
}
