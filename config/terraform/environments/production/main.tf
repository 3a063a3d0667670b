terraform {
  required_version = ">= 1.10"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = "~> 3.0"
    }
  }
  # The state is shared and locked: by a file beside it in the bucket (Terraform from 1.10, OpenTofu from 1.10).
  backend "s3" {
    bucket       = "autoecoops-terraform-state"
    key          = "production/kubernetes.tfstate"
    region       = "eu-central-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "kubernetes" {
  config_path    = "~/.kube/config"
  config_context = "autoecoops-production"
}

module "kubernetes" {
  source = "../../modules/kubernetes"

  environment = "production"
  app_version = "0.1.0"

  replicas       = 3
  cpu_request    = "1000m"
  cpu_limit      = "2"
  memory_request = "1Gi"
  memory_limit   = "1Gi"

  image_tag    = "v0.1.0"
  image_digest = "sha256:aa51218de27c2d00756b5323b30ae7be51e73d04ea2f54e4166965b62c66a567"
}
