"""cluster/aws.yaml and gcp.yaml, as far as that goes without an account: Ray's own checks, EC2's shapes, and ours."""

import json
import re
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config

from mad_ray.cli import build_parser

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
CLOUDS = ("aws", "gcp")


def load(cloud: str) -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / f"{cloud}.yaml").read_text())


def machines(cloud: str) -> dict[str, dict[str, Any]]:
    """Node type -> what the cloud is asked for."""
    return {name: kind["node_config"] for name, kind in load(cloud)["available_node_types"].items()}


def commands(cloud: str) -> list[str]:
    config = load(cloud)
    return [line for name in config if name.endswith("_commands") for line in config[name]]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_ray_takes_it(cloud):
    validate_config(prepare_config(load(cloud)))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_rays_check_would_have_found_an_error(cloud):
    config = load(cloud) | {"max_wrokers": 3}
    with pytest.raises(Exception, match="max_wrokers"):
        validate_config(prepare_config(config))


@pytest.mark.parametrize("kind", machines("aws"))
def test_ec2_takes_the_machine(kind):
    """The fields that Ray adds stand in for its own."""
    asked = {**machines("aws")[kind], "MinCount": 1, "MaxCount": 1}
    report = ParamValidator().validate(asked, shape("ec2", "RunInstances"))
    assert not report.has_errors(), report.generate_report()
    wrong = {**asked, "InstanceMarketOptions": {"MarketTyp": "spot"}}
    assert ParamValidator().validate(wrong, shape("ec2", "RunInstances")).has_errors()


def shape(service: str, operation: str) -> Any:
    return botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape


def is_spot(machine: dict[str, Any]) -> bool:
    market = machine.get("InstanceMarketOptions", {}).get("MarketType")
    return market == "spot" or machine.get("scheduling", {}).get("provisioningModel") == "SPOT"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_workers_are_spot_and_the_head_is_not(cloud):
    config = load(cloud)
    head = config["head_node_type"]
    assert {name: is_spot(machine) for name, machine in machines(cloud).items()} == {
        name: name != head for name in config["available_node_types"]
    }
    for name, kind in config["available_node_types"].items():
        if name != head:
            assert kind["min_workers"] == 0
            assert 0 < kind["max_workers"] <= config["max_workers"]
            assert kind["resources"]["CPU"] > 0
    assert config["available_node_types"][head]["resources"] == {"CPU": 0}
    assert config["provider"]["cache_stopped_nodes"] is False, "what is stopped is paid for"


@pytest.mark.parametrize("cloud", CLOUDS)
def test_no_trial_lands_on_the_head_and_its_dashboard_is_its_own(cloud):
    (start,) = [line for line in load(cloud)["head_start_ray_commands"] if "ray start" in line]
    assert "--head" in start
    assert "--num-cpus=0" in start
    assert "--dashboard-host=127.0.0.1" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_ray_asks_for_the_token_which_comes_from_the_users_home(cloud):
    config = load(cloud)
    starts = [line for line in commands(cloud) if "ray start" in line or "mad-ray " in line]
    assert len(starts) == 3
    assert all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "RAY_AUTH_MODE=token" in " ".join(config["setup_commands"]), "for whoever logs in"
    assert config["file_mounts"]["/home/ubuntu/.ray/auth_token"] == "~/.ray/auth_token"
    assert "chmod 600 ~/.ray/auth_token" in config["setup_commands"]


@pytest.mark.parametrize("cloud", CLOUDS)
def test_workers_wait_for_their_clouds_notice(cloud):
    (watch,) = [line for line in load(cloud)["worker_start_ray_commands"] if "mad-ray" in line]
    words = re.search(r"mad-ray ([^>]*)", watch)[1].split()
    args = build_parser().parse_args(words)
    assert (args.command, args.cloud) == ("drain-on-notice", cloud)
    assert watch.rstrip().endswith("&"), "in the background"
    assert not any("drain-on-notice" in line for line in load(cloud)["head_start_ray_commands"])


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_is_installed_is_pinned(cloud):
    installs = [line for line in commands(cloud) if "pip install" in line]
    assert installs
    assert all("-c ~/mad_ray/constraints.txt" in line for line in installs)
    assert load(cloud)["file_mounts"]["/home/ubuntu/mad_ray"] == "."
    assert all(re.search(r"/uv/\d+\.\d+\.\d+/", line) for line in commands(cloud) if "astral.sh" in line)


def test_aws_machines_keep_their_credentials_to_themselves():
    for name, machine in machines("aws").items():
        assert machine["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
        assert machine["IamInstanceProfile"] == {"Name": "mad-ray-head" if name == "head" else "mad-ray-worker"}
        assert machine["SecurityGroupIds"], "else Ray makes one that is open to everybody's SSH"
        assert all(disk["Ebs"]["Encrypted"] for disk in machine["BlockDeviceMappings"])


def test_gcp_machines_have_accounts_of_their_own():
    found = {
        name: [account["email"].partition("@")[0] for account in machine["serviceAccounts"]]
        for name, machine in machines("gcp").items()
    }
    assert found == {"head": ["mad-ray-head"], "cpu_spot": ["mad-ray-worker"]}
    role = yaml.safe_load((CLUSTER / "gcp" / "head-role.yaml").read_text())
    allowed = r"compute\.(instances|disks|images|machineTypes|subnetworks|zoneOperations)\.\w+"
    assert all(re.fullmatch(allowed, name) for name in role["includedPermissions"])
    assert not any("delete" in name and "instances" not in name for name in role["includedPermissions"])


def policy(name: str) -> list[dict[str, Any]]:
    document = json.loads((CLUSTER / "aws" / f"{name}.json").read_text())
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition", "Principal"}
    return document["Statement"]


def words(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_nodes_reach_one_prefix_of_one_bucket():
    statements = policy("store-policy")
    found = {action: statement for statement in statements for action in words(statement["Action"])}
    assert found.keys() == {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket"}
    for action, statement in found.items():
        place = "arn:aws:s3:::YOUR-BUCKET" + ("" if action == "s3:ListBucket" else "/mad/*")
        assert words(statement["Resource"]) == [place]
    (condition,) = found["s3:ListBucket"]["Condition"].values()
    assert condition == {"s3:prefix": ["mad/*"]}


def test_the_head_starts_spot_workers_and_nothing_else():
    statements = policy("head-policy")
    actions = {action for statement in statements for action in words(statement["Action"])}
    assert not any("*" in action for action in actions)
    changes = {action for action in actions if ":Describe" not in action and action != "ssm:GetParameters"}
    assert changes == {"ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances", "iam:PassRole"}
    for statement in statements:
        if set(words(statement["Action"])) & changes:
            assert "*" not in words(statement["Resource"])
    (run,) = [s for s in statements if s["Sid"] == "StartSpotMachinesOfTheseKinds"]
    asked = run["Condition"]["StringEquals"]
    workers = [machine for name, machine in machines("aws").items() if name != "head"]
    assert set(asked["ec2:InstanceType"]) == {machine["InstanceType"] for machine in workers}
    assert asked["ec2:InstanceMarketType"] == "spot"
    assert asked["aws:RequestTag/ray-cluster-name"] == load("aws")["cluster_name"]


def test_the_head_passes_the_workers_role_only_and_ends_only_its_own_machines():
    statements = {statement["Sid"]: statement for statement in policy("head-policy")}
    passed = statements["WorkersHaveTheWorkersRole"]
    assert passed["Resource"] == "arn:aws:iam::YOUR-ACCOUNT:role/mad-ray-worker"
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    own = [s for s in statements.values() if "ec2:TerminateInstances" in words(s["Action"])]
    assert [s["Condition"] for s in own] == [{"StringEquals": {"aws:ResourceTag/ray-cluster-name": "mad-ray"}}]
    (trust,) = policy("trust-policy")
    assert trust["Principal"] == {"Service": "ec2.amazonaws.com"}


def test_s3_takes_the_lifecycle_rules_and_they_touch_nothing_that_counts():
    rules = json.loads((CLUSTER / "aws" / "lifecycle.json").read_text())
    asked = {"Bucket": "your-bucket", "LifecycleConfiguration": rules}
    report = ParamValidator().validate(asked, shape("s3", "PutBucketLifecycleConfiguration"))
    assert not report.has_errors(), report.generate_report()
    for rule in rules["Rules"]:
        assert rule["Status"] == "Enabled"
        if "Days" in rule.get("Expiration", {}):
            assert rule["Filter"] == {"Prefix": "mad/.probe/"}, "results expire never"
    assert any("AbortIncompleteMultipartUpload" in rule for rule in rules["Rules"])
    assert any("NoncurrentVersionExpiration" in rule for rule in rules["Rules"])
