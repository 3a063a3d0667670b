# The guide's variables; what they must be is checked in ../rules.

variable "namespace" {
  description = "Of the gateway."
  type        = string
  default     = "platform-01"
}

variable "environment" {
  description = "dev, staging or production."
  type        = string
}

variable "app_version" {
  description = "A label: the version that image_digest is."
  type        = string
}

variable "replicas" {
  description = "Replicas of the gateway; also what the quota is made for."
  type        = number
}

variable "cpu_request" {
  description = "CPU to reserve for a replica."
  type        = string
}

variable "cpu_limit" {
  description = "Whole CPUs that a replica may use."
  type        = string
}

variable "memory_request" {
  description = "Memory to reserve for a replica."
  type        = string
}

variable "memory_limit" {
  description = "Memory that a replica may use."
  type        = string
}

variable "registry" {
  description = "Where images come from."
  type        = string
  default     = "ghcr.io/autoecoops"
}

variable "image_name" {
  description = "Of the gateway."
  type        = string
  default     = "sluice"
}

variable "image_tag" {
  description = "For people; the digest decides."
  type        = string
}

variable "image_digest" {
  description = "sha256: and 64 hex digits."
  type        = string
}

variable "operators_group" {
  description = "The group whose members may look into the namespace and restart pods."
  type        = string
  default     = "autoecoops-operators"
}

variable "deploy_workload" {
  description = "Whether Terraform owns the gateway; false where Argo CD does."
  type        = bool
  default     = false
}

variable "gateway_configuration" {
  description = "The gateway's configuration, when Terraform owns it."
  type        = string
  default     = ""
}
