# What holds for every environment, in a module that needs no provider: so its tests run anywhere, without a cluster.

terraform {
  required_version = ">= 1.6"
}

variable "environment" {
  description = "dev, staging or production."
  type        = string
  validation {
    condition     = contains(["dev", "staging", "production"], var.environment)
    error_message = "The environment is dev, staging or production."
  }
}

variable "namespace" {
  description = "A namespace: a DNS label."
  type        = string
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace))
    error_message = "A namespace is a DNS label: lower-case letters, digits and dashes, 63 at most."
  }
}

variable "replicas" {
  description = "Replicas of the gateway; at least 3 in production."
  type        = number
  validation {
    condition     = var.replicas >= 1 && floor(var.replicas) == var.replicas
    error_message = "Replicas are a whole number from 1."
  }
}

variable "image_digest" {
  description = "The digest that the image is pinned by: sha256: and 64 hex digits."
  type        = string
  validation {
    condition     = can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "The digest is sha256: and 64 hex digits, as config/image/build prints it."
  }
}

variable "cpu_request" {
  description = "CPU to reserve, in Kubernetes' notation: 500m, 2."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+m?$", var.cpu_request))
    error_message = "CPU is written 500m or 2."
  }
}

variable "cpu_limit" {
  description = "Most CPU to use: whole CPUs, as the gateway runs one event loop for each."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+$", var.cpu_limit)) || can(regex("^[0-9]+000m$", var.cpu_limit))
    error_message = "The CPU limit is whole CPUs: 2 or 2000m."
  }
}

variable "memory_request" {
  description = "Memory to reserve: 512Mi, 1Gi."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory_request))
    error_message = "Memory is written 512Mi or 1Gi."
  }
}

variable "memory_limit" {
  description = "Most memory to use; the gateway's memory_limiter reads it."
  type        = string
  validation {
    condition     = can(regex("^[0-9]+(Mi|Gi)$", var.memory_limit))
    error_message = "Memory is written 512Mi or 1Gi."
  }
}

locals {
  millis = { for name, text in { request = var.cpu_request, limit = var.cpu_limit } :
  name => endswith(text, "m") ? tonumber(trimsuffix(text, "m")) : tonumber(text) * 1000 }
  mebibytes = { for name, text in { request = var.memory_request, limit = var.memory_limit } :
  name => endswith(text, "Gi") ? tonumber(trimsuffix(text, "Gi")) * 1024 : tonumber(trimsuffix(text, "Mi")) }
}

# Conditions on several values at once. terraform_data is built in.
resource "terraform_data" "together" {
  input = { environment = var.environment, namespace = var.namespace }

  lifecycle {
    precondition {
      condition     = var.environment != "production" || var.replicas >= 3
      error_message = "Production has at least 3 replicas, not ${var.replicas}."
    }
    precondition {
      condition     = local.millis.limit >= local.millis.request
      error_message = "The CPU limit ${var.cpu_limit} is below the request ${var.cpu_request}."
    }
    precondition {
      condition     = local.mebibytes.limit >= local.mebibytes.request
      error_message = "The memory limit ${var.memory_limit} is below the request ${var.memory_request}."
    }
  }
}

output "labels" {
  description = "Labels of everything that is made."
  value = {
    "app.kubernetes.io/part-of"          = "autoecoops"
    "app.kubernetes.io/managed-by"       = "terraform"
    "autoecoops.example.com/environment" = terraform_data.together.output.environment
  }
}

output "namespace" {
  description = "The namespace, once everything about it is checked."
  value       = terraform_data.together.output.namespace
}

output "quota" {
  description = "What the namespace may use: the replicas, one more for a rollout, and half as much again."
  value = {
    cpu_millis = ceil((var.replicas + 1) * local.millis.limit * 1.5)
    memory_mib = ceil((var.replicas + 1) * local.mebibytes.limit * 1.5)
  }
}
