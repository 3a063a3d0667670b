resource "kubernetes_config_map_v1" "gateway" {
  count = var.deploy_workload ? 1 : 0
  metadata {
    name      = "sluice-config"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = local.labels
  }
  data = { "autoecoops.yaml" = var.gateway_configuration }
}

# Without preStop: the provider has no `sleep` (hashicorp/terraform-provider-kubernetes#2837), and the image has no shell for
# `exec`. Clients retry while endpoints change; config/deploy has preStop.sleep.
resource "kubernetes_deployment_v1" "gateway" {
  count = var.deploy_workload ? 1 : 0
  metadata {
    name      = "sluice"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = local.labels
  }

  spec {
    replicas = var.replicas
    strategy {
      type = "RollingUpdate"
      rolling_update {
        max_surge       = "1"
        max_unavailable = "0"
      }
    }
    selector {
      match_labels = local.selector
    }

    template {
      metadata {
        labels      = local.labels
        annotations = { "autoecoops.example.com/configuration" = sha256(var.gateway_configuration) }
      }
      spec {
        automount_service_account_token  = false
        enable_service_links             = false
        termination_grace_period_seconds = 45
        security_context {
          run_as_non_root = true
          run_as_user     = "65532"
          run_as_group    = "65532"
          fs_group        = "65532"
          seccomp_profile {
            type = "RuntimeDefault"
          }
        }
        topology_spread_constraint {
          topology_key       = "kubernetes.io/hostname"
          max_skew           = 1
          when_unsatisfiable = "ScheduleAnyway"
          label_selector {
            match_labels = local.selector
          }
        }

        container {
          name  = "sluice"
          image = "${var.registry}/${var.image_name}:${var.image_tag}@${var.image_digest}"
          args = [
            "run", "--config=/etc/sluice/autoecoops.yaml", "--health-endpoint=0.0.0.0:8080", "--shutdown-timeout=25",
          ]
          dynamic "port" {
            for_each = { "otlp-grpc" = 4317, "otlp-http" = 4318, "metrics" = 8888, "app-metrics" = 8889, "health" = 8080 }
            content {
              name           = port.key
              container_port = port.value
            }
          }
          resources {
            requests = {
              cpu    = var.cpu_request
              memory = var.memory_request
            }
            limits = {
              cpu    = var.cpu_limit
              memory = var.memory_limit
            }
          }
          startup_probe {
            http_get {
              path = "/health/live"
              port = "health"
            }
            period_seconds    = 1
            failure_threshold = 30
          }
          readiness_probe {
            http_get {
              path = "/health/ready"
              port = "health"
            }
            period_seconds    = 5
            timeout_seconds   = 3
            failure_threshold = 2
          }
          liveness_probe {
            http_get {
              path = "/health/live"
              port = "health"
            }
            period_seconds    = 10
            timeout_seconds   = 3
            failure_threshold = 3
          }
          security_context {
            allow_privilege_escalation = false
            read_only_root_filesystem  = true
            capabilities {
              drop = ["ALL"]
            }
          }
          volume_mount {
            name       = "config"
            mount_path = "/etc/sluice"
            read_only  = true
          }
          volume_mount {
            name       = "data"
            mount_path = "/var/lib/sluice"
          }
        }

        volume {
          name = "config"
          config_map {
            name = kubernetes_config_map_v1.gateway[0].metadata[0].name
          }
        }
        volume {
          name = "data"
          empty_dir {
            size_limit = "4Gi"
          }
        }
      }
    }
  }
}

resource "kubernetes_pod_disruption_budget_v1" "gateway" {
  count = var.deploy_workload && var.replicas > 1 ? 1 : 0
  metadata {
    name      = "sluice"
    namespace = kubernetes_namespace_v1.platform.metadata[0].name
    labels    = local.labels
  }
  spec {
    max_unavailable = "1"
    selector {
      match_labels = local.selector
    }
  }
}
