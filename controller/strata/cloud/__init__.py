"""The cloud: EC2 and SSM through boto3, with token buckets, an error table and a fast parser."""
