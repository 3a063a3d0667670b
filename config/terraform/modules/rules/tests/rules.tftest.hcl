variables {
  environment    = "production"
  namespace      = "platform-01"
  replicas       = 3
  image_digest   = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
  cpu_request    = "500m"
  cpu_limit      = "1000m"
  memory_request = "512Mi"
  memory_limit   = "1Gi"
}

run "takes_the_guides_values" {
  assert {
    condition     = output.quota.cpu_millis == 6000 && output.quota.memory_mib == 6144
    error_message = "the quota of 3 replicas of 1 CPU and 1 GiB is 6 CPUs and 6 GiB"
  }
  assert {
    condition     = output.labels["autoecoops.example.com/environment"] == "production"
    error_message = "the environment is a label"
  }
}

run "refuses_the_guides_digest" {
  command = plan
  variables { image_digest = "sha256:abc123..." }
  expect_failures = [var.image_digest]
}

run "refuses_a_tag_for_a_digest" {
  command = plan
  variables { image_digest = "v1.0.0" }
  expect_failures = [var.image_digest]
}

run "refuses_two_replicas_in_production" {
  command = plan
  variables { replicas = 2 }
  expect_failures = [terraform_data.together]
}

run "takes_one_replica_in_dev" {
  variables {
    environment = "dev"
    replicas    = 1
  }
}

run "refuses_a_cpu_limit_below_the_request" {
  command = plan
  variables {
    cpu_request = "1500m"
    cpu_limit   = "1"
  }
  expect_failures = [terraform_data.together]
}

run "refuses_a_memory_limit_below_the_request" {
  command = plan
  variables {
    memory_request = "2Gi"
    memory_limit   = "1024Mi"
  }
  expect_failures = [terraform_data.together]
}

run "refuses_part_of_a_cpu_as_limit" {
  command = plan
  variables { cpu_limit = "1500m" }
  expect_failures = [var.cpu_limit]
}

run "refuses_a_namespace_that_is_no_label" {
  command = plan
  variables { namespace = "Platform_01" }
  expect_failures = [var.namespace]
}

run "refuses_an_unknown_environment" {
  command = plan
  variables { environment = "prod" }
  expect_failures = [var.environment]
}
