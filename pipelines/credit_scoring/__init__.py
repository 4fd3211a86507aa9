"""Credit scoring: will this applicant default, why, and can the lender defend the decision?"""
