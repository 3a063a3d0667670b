# An environment's namespace, its quota and limits, who may do what in it, and, where Argo CD does not own it, the
# gateway. One owner for each thing: with Argo CD, deploy_workload stays false.

terraform {
  required_version = ">= 1.6"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 3.0"
    }
  }
}

module "rules" {
  source = "../rules"

  environment    = var.environment
  namespace      = var.namespace
  replicas       = var.replicas
  image_digest   = var.image_digest
  cpu_request    = var.cpu_request
  cpu_limit      = var.cpu_limit
  memory_request = var.memory_request
  memory_limit   = var.memory_limit
}

locals {
  selector = { "app.kubernetes.io/name" = "sluice" }
  labels   = merge(module.rules.labels, local.selector, { "app.kubernetes.io/version" = var.app_version })
}

resource "kubernetes_namespace_v1" "platform" {
  metadata {
    name = module.rules.namespace
    labels = merge(module.rules.labels, {
      "pod-security.kubernetes.io/enforce"         = "restricted"
      "pod-security.kubernetes.io/enforce-version" = "v1.37"
    })
  }
}

resource "kubernetes_resource_quota_v1" "platform" {
  metadata {
    name      = "platform"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = module.rules.labels
  }
  spec {
    hard = {
      "limits.cpu"      = "${module.rules.quota.cpu_millis}m"
      "limits.memory"   = "${module.rules.quota.memory_mib}Mi"
      "requests.cpu"    = "${module.rules.quota.cpu_millis}m"
      "requests.memory" = "${module.rules.quota.memory_mib}Mi"
    }
  }
}

resource "kubernetes_role_v1" "operator" {
  metadata {
    name      = "operator"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = module.rules.labels
  }
  # To look, and to restart: nothing that Git or Terraform owns is changed by hand.
  rule {
    api_groups = [""]
    resources  = ["pods", "pods/log", "services", "events", "configmaps", "persistentvolumeclaims"]
    verbs      = ["get", "list", "watch"]
  }
  rule {
    api_groups = ["apps"]
    resources  = ["deployments", "statefulsets", "replicasets"]
    verbs      = ["get", "list", "watch"]
  }
  rule {
    api_groups = [""]
    resources  = ["pods"]
    verbs      = ["delete"]
  }
}

resource "kubernetes_role_binding_v1" "operator" {
  metadata {
    name      = "operator"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = module.rules.labels
  }
  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = kubernetes_role_v1.operator.metadata[0].name
  }
  subject {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Group"
    name      = var.operators_group
  }
}
